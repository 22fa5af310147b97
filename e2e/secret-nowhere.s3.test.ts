import { mkdir } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { TestKeychain, withoutKeychain } from "../src-core/credentials/keychain-fixtures.ts";
import { Desk, LAUNCHER, runProgram } from "./run-cli.ts";
import { ChangedFiles, facesOf, SecretSearch, type Watched, watched } from "./secret-search.ts";
import { SignatureRecorder } from "./signature-recorder.ts";
import { FaultProxy } from "./support/fault-proxy.ts";
import { Gateway } from "./support/radosgw.ts";
import { S3Store } from "./support/s3-store.ts";
import { type SessionKeys, sessionKeys } from "./support/session-tokens.ts";
import { freshBucket, testStore } from "./support/test-store.ts";

const ENGAGEMENT = "acme-2026";
/** What stands in a signed request, and nowhere else. */
const MARKS = {
  scheme: "AWS4-HMAC-SHA256",
  header: "X-Amz-Security-Token",
  "header in small letters": "x-amz-security-token",
  query: "X-Amz-Signature",
};
const FOREVER = Number.POSITIVE_INFINITY;

let desk: Desk;
let gateway: Gateway;
let keys: SessionKeys;
let proxy: FaultProxy;
let recorder: SignatureRecorder;
let bucket: string;
let env: NodeJS.ProcessEnv;
let packages: string[];
let files: ChangedFiles;

beforeEach(async ({ skip }) => {
  const store = testStore();
  const folder = store.facts.cephFolder;
  skip(folder === undefined, "needs a radosgw of our own");
  gateway = await Gateway.open(folder ?? "", { sts: true });
  keys = await sessionKeys(store, gateway);
  proxy = await FaultProxy.open(new S3Store({ ...store.facts, endpoint: gateway.endpoint }));
  recorder = await SignatureRecorder.open(proxy.endpoint);
  bucket = await freshBucket();
  desk = await Desk.open();
  files = new ChangedFiles();
  // All that is written in passing is written where it is looked for.
  for (const folder of ["tmp", "user"]) await mkdir(desk.path(folder));
  env = {
    ...{ PATH: process.env.PATH, HOME: desk.path("user"), TMPDIR: desk.path("tmp") },
    STRONGROOM_HOME: desk.home,
  };
});
afterEach(async () => {
  await recorder.close();
  await proxy.close();
  await gateway.stop();
  await desk.close();
});

interface Run extends Watched {
  readonly pid: number;
}

/** Runs the program, and looks at its processes meanwhile. */
async function run(
  args: readonly string[],
  {
    input = "",
    onStart = async () => undefined,
  }: { input?: string; onStart?: (pid: number) => Promise<void> } = {},
): Promise<Run> {
  let pid = 0;
  const finished = await watched(desk.home, (watch) =>
    runProgram(LAUNCHER, args, {
      env,
      input,
      cwd: desk.folder,
      onStart: async (child) => {
        pid = child.pid ?? 0;
        await Promise.all([watch(), onStart(pid)]);
      },
    }),
  );
  return { ...finished, pid };
}

/** Nothing that gives access is in what the program said, in any file that it left, or in what others may read of its processes. */
async function expectNowhere(
  finished: Run,
  { inEnvironment }: { readonly inEnvironment: boolean },
): Promise<void> {
  const secrets = new SecretSearch({ secret: keys.secretAccessKey, token: keys.sessionToken });
  const signed = new SecretSearch({
    ...MARKS,
    signature: [...recorder.signatures].at(-1) ?? "no signature yet made",
  });
  const texts = new Map([
    ["standard output", Buffer.from(finished.out)],
    ["standard error", Buffer.from(finished.err)],
    ...(await files.below(desk.home)),
    ...(await files.below(desk.path("tmp"))),
    ...(await files.below(desk.path("user"))),
  ]);
  for (const [id, { commandLine, environment }] of finished.processes) {
    texts.set(`the command line of process ${id}`, Buffer.from(commandLine));
    // Where the user put it into the environment, the launcher and what it starts have it; the program gives it to no process of its own.
    if (!inEnvironment || (id !== String(finished.pid) && commandLine.includes("node")))
      texts.set(`the environment of process ${id}, ${commandLine}`, Buffer.from(environment));
  }
  for (const [place, bytes] of texts) {
    expect(secrets.in(bytes), place).toEqual([]);
    // Compiled code of the SDK names what it makes.
    if (place.startsWith(desk.path("user", ".cache"))) continue;
    expect(signed.in(bytes), place).toEqual([]);
    const words = bytes.toString("latin1").match(/[0-9a-f]{64}/g) ?? [];
    expect(
      words.filter((word) => recorder.signatures.has(word)),
      place,
    ).toEqual([]);
  }
}

/** Makes the engagement, and packages of three parts that are sealed by reference. */
async function prepare(...names: readonly string[]): Promise<void> {
  await desk.write("evidence/disk.img", Buffer.alloc(36_000_000, "evidence "));
  expect((await run(["engagement", "create", ENGAGEMENT, "--vault", "lake"])).exitCode).toBe(0);
  packages = [];
  for (const name of names) {
    const built = ["package", "build", ENGAGEMENT, "evidence", "--name", name, "--reference", "--quiet"];
    packages.push((await run(built)).out.trim());
  }
}

const addLake = (...credentials: readonly string[]) => [
  ...["vault", "add", "s3", "lake", "--bucket", bucket, "--endpoint", recorder.endpoint],
  ...credentials,
];

/** A refusal that says back what it was sent, as Amazon's does in part: the signature, what was signed, the token. */
function echo(status: number, code: string): void {
  proxy.rule({
    operation: "upload-part",
    times: FOREVER,
    fault: {
      kind: "rewrite",
      change: (answer) => {
        const signature = [...recorder.signatures].at(-1);
        const header = `AWS4-HMAC-SHA256 Credential=${keys.accessKeyId}/x, Signature=${signature}`;
        const said = `${header} X-Amz-Security-Token: ${keys.sessionToken}`;
        answer.status = status;
        answer.body = Buffer.from(
          `<Error><Code>${code}</Code><Message>Wrong: ${said}</Message><SignatureProvided>${signature}</SignatureProvided><StringToSign>${said}</StringToSign></Error>`,
        );
      },
    },
  });
}

/** What makes a push fail; the answer is what to do when it has started. */
const FAILURES: Readonly<Record<string, () => ((pid: number) => Promise<void>) | undefined>> = {
  "an expired token": () => {
    proxy.rule({
      operation: "upload-part",
      times: FOREVER,
      fault: { kind: "refuse", refusal: { status: 400, code: "ExpiredToken" } },
    });
    return undefined;
  },
  "no such bucket": () => {
    proxy.rule({ times: FOREVER, fault: { kind: "refuse", refusal: { status: 404, code: "NoSuchBucket" } } });
    return undefined;
  },
  "a refused signature, said back": () => {
    echo(403, "SignatureDoesNotMatch");
    return undefined;
  },
  "a permission that is missing, said back": () => {
    echo(403, "AccessDenied");
    return undefined;
  },
  "a request that is not understood, said back": () => {
    echo(400, "InvalidRequest");
    return undefined;
  },
  "an answer that is none": () => {
    proxy.rule({
      operation: "upload-part",
      times: FOREVER,
      fault: {
        kind: "rewrite",
        change: (answer) => {
          answer.status = 400;
          answer.body = Buffer.from(`<html>${keys.sessionToken} ${[...recorder.signatures].at(-1)}</html>`);
        },
      },
    });
    return undefined;
  },
  "a store that cannot be reached": () => {
    proxy.rule({ times: FOREVER, fault: { kind: "reset", when: "before-request" } });
    return undefined;
  },
  "kill -9": () => {
    const arrived = Promise.withResolvers<void>();
    proxy.rule({ operation: "upload-part", nth: 2, before: () => arrived.resolve() });
    return async (pid) => {
      await arrived.promise;
      process.kill(pid, "SIGKILL");
    };
  },
};

async function expectFailures(options: { readonly inEnvironment: boolean }): Promise<void> {
  const [, id = ""] = packages;
  for (const [name, begin] of Object.entries(FAILURES)) {
    const onStart = begin();
    const form = options.inEnvironment ? ["--json"] : [];
    const failed = await run(["package", "push", id, ...form], onStart === undefined ? {} : { onStart });
    expect([2, null], `${name}: ${failed.out}`).toContain(failed.exitCode);
    await expectNowhere(failed, options);
    await expect.poll(() => facesOf(desk.home), { timeout: 20_000 }).toEqual(new Map());
    proxy.clearRules();
  }
}

async function expectDone(
  args: readonly string[],
  options: { readonly inEnvironment: boolean },
  input = "",
): Promise<void> {
  const done = await run(args, { input });
  expect(done.exitCode, `${args.join(" ")}: ${done.out}${done.err}`).toBe(0);
  await expectNowhere(done, options);
}

describe.skipIf(await withoutKeychain())("a key in the keychain", () => {
  let keychain: TestKeychain;
  beforeEach(async () => {
    keychain = await TestKeychain.start();
    env = { ...keychain.env, ...env };
  });
  afterEach(() => keychain.stop());

  test("is nowhere else, after every command that uses it and every failure", async () => {
    const options = { inEnvironment: false };
    const input = `${keys.secretAccessKey}\n${keys.sessionToken}\n`;
    await expectDone(addLake("--access-key-id", keys.accessKeyId), options, input);
    await prepare("week-1", "week-2");
    const [id = ""] = packages;
    for (const args of [
      ["package", "push", id],
      ["verify", id, "--remote", "--full"],
      ["package", "pull", id, "--to", desk.path("home", "..", "user", "review"), "--as", "tar"],
      ["sync"],
      ["vault", "health", "lake"],
      ["transfers", "list"],
      [
        "artifact",
        "put",
        "--vault",
        "lake",
        "--audit",
        "a1",
        "--phase",
        "recon",
        desk.path("evidence", "disk.img"),
      ],
    ])
      await expectDone(args, options);
    await expectFailures(options);
    const wrong = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    const refused = await run(
      ["vault", "set-credentials", "lake", "--access-key-id", keys.accessKeyId, "--json"],
      {
        input: `${wrong}\n${keys.sessionToken}\n`,
      },
    );
    expect(JSON.parse(refused.out)).toMatchObject({ ok: false });
    await expectNowhere(refused, options);
    const search = new SecretSearch({ wrong });
    for (const [path, bytes] of await new ChangedFiles().below(desk.home))
      expect(search.in(bytes), path).toEqual([]);
    expect(search.in(Buffer.from(refused.out + refused.err))).toEqual([]);
    await expectDone(["package", "push", packages[1] ?? ""], options);
  }, 300_000);
});

test("a key in the environment is nowhere else, after every command that uses it and every failure", async () => {
  const options = { inEnvironment: true };
  env.AWS_ACCESS_KEY_ID = keys.accessKeyId;
  env.AWS_SECRET_ACCESS_KEY = keys.secretAccessKey;
  env.AWS_SESSION_TOKEN = keys.sessionToken;
  await expectDone(addLake("--credentials", "env"), options);
  await prepare("week-1", "week-2");
  await expectDone(["package", "push", packages[0] ?? ""], options);
  await expectFailures(options);
  await expectDone(["package", "push", packages[1] ?? ""], options);
}, 300_000);

test("the search finds a secret that is cut in two, or said in another way", () => {
  const token = "FwoGZXIvYXdzEBYaD+/k3pL0".repeat(20);
  const search = new SecretSearch({ token });
  const cut = Buffer.concat([
    Buffer.from(token.slice(0, 200)),
    Buffer.alloc(50),
    Buffer.from(token.slice(200)),
  ]);
  const said = [
    ...[
      token,
      JSON.stringify({ token }),
      encodeURIComponent(token),
      `<${token.slice(0, 100)}`,
      token.slice(-100),
    ],
    ...["", "a", "ab"].map((before) => Buffer.from(`${before}${token}`).toString("base64")),
    ...[Buffer.from(`x${token}`).toString("base64url"), Buffer.from(token).toString("hex").toUpperCase()],
  ];
  for (const text of said) expect(search.in(Buffer.from(text)), text).toEqual(["token"]);
  expect(search.in(Buffer.from(token, "utf16le"))).toEqual(["token"]);
  expect(search.in(cut)).toEqual(["token"]);
  expect(search.in(Buffer.from(token.slice(0, 15)))).toEqual([]);
});
