import { spawn } from "node:child_process";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { TestKeychain } from "../src-core/credentials/keychain-fixtures.ts";
import { Desk, LAUNCHER, runProgram } from "./run-cli.ts";
import { ChangedFiles, SecretSearch, type Watched, watched } from "./secret-search.ts";
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
async function run(args: readonly string[], input: string): Promise<Watched> {
  return await watched(desk.home, (onStart) =>
    runProgram(LAUNCHER, args, { env, input, cwd: desk.folder, onStart }),
  );
}

/** The secret is in nothing that the program wrote or showed, but in the keychain. */
async function expectSecretNowhere(secret: string, shown: Watched): Promise<void> {
  const search = new SecretSearch({ secret });
  const places = new Map(await new ChangedFiles().below(desk.folder));
  places.set("standard output", Buffer.from(shown.out));
  places.set("standard error", Buffer.from(shown.err));
  for (const [id, { commandLine, environment }] of shown.processes)
    places.set(`process ${id}`, Buffer.from(commandLine + environment));
  for (const [place, bytes] of places) expect(search.in(bytes), place).toEqual([]);
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
