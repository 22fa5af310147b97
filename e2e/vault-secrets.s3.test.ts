import { spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { TestKeychain } from "../src-core/credentials/keychain-fixtures.ts";
import { Desk, type Finished, LAUNCHER, runProgram } from "./run-cli.ts";
import { freshBucket, testStore } from "./support/test-store.ts";

let desk: Desk;
let keychain: TestKeychain;
let bucket: string;
/** No more than a user has: what this test run was given may itself hold the store's secret. */
let env: NodeJS.ProcessEnv;
beforeEach(async () => {
  desk = await Desk.open();
  keychain = await TestKeychain.start();
  bucket = await freshBucket();
  env = { ...keychain.env, STRONGROOM_HOME: desk.home };
});
afterEach(async () => {
  await keychain.stop();
  await desk.close();
});

const facts = () => testStore().facts;
const addLake = (...more: readonly string[]) => [
  ...["vault", "add", "s3", "lake", "--bucket", bucket, "--endpoint", facts().endpoint],
  ...["--access-key-id", facts().accessKeyId, ...more],
];

/** Runs the program with a secret on standard input, and looks at its processes meanwhile. */
async function run(
  args: readonly string[],
  input: string,
): Promise<Finished & { readonly processes: ReadonlyMap<string, string> }> {
  const processes = new Map<string, string>();
  let running = true;
  const finished = await runProgram(LAUNCHER, args, {
    env,
    input,
    cwd: desk.folder,
    onStart: async () => {
      while (running) {
        for (const [id, text] of await processesOf(desk.home))
          processes.set(id, (processes.get(id) ?? "") + text);
        await sleep(1);
      }
    },
  }).finally(() => {
    running = false;
  });
  return { ...finished, processes };
}

/** What everyone may read of each process that works on this state folder: its command line and environment. */
async function processesOf(home: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const id of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const text = async (file: string) => readFile(`/proc/${id}/${file}`, "latin1").catch(() => "");
    const environment = await text("environ");
    if (environment.includes(`STRONGROOM_HOME=${home}\0`))
      found.set(id, (await text("cmdline")) + environment);
  }
  return found;
}

/** The secret is in nothing that the program wrote or showed, but in the keychain. */
async function expectSecretNowhere(
  secret: string,
  shown: Finished & { readonly processes?: ReadonlyMap<string, string> },
) {
  const texts = new Map([
    ["standard output", shown.out],
    ["standard error", shown.err],
    ...(shown.processes ?? []),
  ]);
  for (const [what, text] of texts) expect(text.includes(secret), `${what} holds the secret`).toBe(false);
  for (const file of await readdir(desk.folder, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const path = join(file.parentPath, file.name);
    expect((await readFile(path)).includes(secret), `${path} holds the secret`).toBe(false);
  }
}

describe("a secret from standard input", () => {
  test("is in the keychain and nowhere else, after each command that uses it", async () => {
    const secret = facts().secretAccessKey;
    const added = await run(addLake(), `${secret}\n`);
    expect([added.exitCode, added.err]).toEqual([0, ""]);
    // The program and the process that speaks to the keychain.
    expect(added.processes.size).toBeGreaterThan(1);
    await expectSecretNowhere(secret, added);
    expect(await keychain.entries()).toBe(1);
    for (const [args, input] of [
      [["vault", "health", "lake", "--json"], ""],
      [["vault", "list", "--json"], ""],
      [["vault", "set-credentials", "lake", "--access-key-id", facts().accessKeyId], secret],
      [["backup", "--to", desk.path("backup")], ""],
    ] as const) {
      const finished = await run(args, input);
      expect([finished.exitCode, finished.err]).toEqual([0, ""]);
      await expectSecretNowhere(secret, finished);
    }
    expect(await keychain.entries()).toBe(1);
  });

  const secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
  test.each<readonly [string, (lake: readonly string[]) => readonly string[], string, string]>([
    ["refused by the store", (lake) => lake, `${secret}\n`, "CREDENTIALS_REFUSED"],
    [
      "for a bucket that is not there",
      (lake) => lake.map((word) => (word === bucket ? "strongroom-none" : word)),
      secret,
      "BUCKET_NOT_FOUND|CREDENTIALS_REFUSED",
    ],
    [
      "with a session token that is none",
      (lake) => lake,
      `${secret}\n${secret}token\n`,
      "CREDENTIALS_REFUSED|PERMISSION_MISSING|STORE_REFUSED",
    ],
    [
      "with more lines than there are secrets",
      (lake) => lake,
      `${secret}\n${secret}\n${secret}\n`,
      "INVALID_INPUT",
    ],
    ["with control characters", (lake) => lake, `${secret}\u0007`, "INVALID_INPUT"],
    ["as an argument", (lake) => [...lake, `--secret-access-key=${"x".repeat(8)}`], secret, "INVALID_INPUT"],
  ])(
    "%s is in nothing that is said or written, and leaves nothing in the keychain",
    async (_, words, input, code) => {
      const finished = await run([...words(addLake()), "--json"], input);
      expect(finished.exitCode).toBe(2);
      expect(JSON.parse(finished.out).failure.code).toMatch(new RegExp(`^(${code})$`));
      await expectSecretNowhere(secret, finished);
      expect(await keychain.entries()).toBe(0);
    },
  );

  test("that is not there is a clear failure", async () => {
    const finished = await run(addLake(), "");
    expect(finished.exitCode).toBe(2);
    expect(finished.err).toMatch(/^error: No secret access key was given\.\nnext: /);
  });
});

test("a secret that is typed on a terminal is not shown", async () => {
  const secret = facts().secretAccessKey;
  const line = [LAUNCHER, ...addLake()].map((word) => `'${word}'`).join(" ");
  const terminal = spawn("script", ["--quiet", "--return", "--command", line, "/dev/null"], {
    env: { ...env, TERM: "dumb" },
    stdio: ["pipe", "pipe", "inherit"],
    timeout: 50_000,
  });
  let shown = "";
  terminal.stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
    if (shown.includes("Secret access key of") && !terminal.stdin.writableEnded)
      terminal.stdin.end(`${secret}\r`);
  });
  const exitCode = await new Promise((resolve) => terminal.once("close", resolve));
  expect(shown).toContain(`Secret access key of ${facts().accessKeyId}: `);
  expect(shown).toContain(`s3://${bucket} at ${facts().endpoint}`);
  expect(shown).not.toContain(secret);
  expect([exitCode, await keychain.entries()]).toEqual([0, 1]);
});
