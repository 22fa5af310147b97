import { cpSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Outcome } from "../src-contract/failure.ts";
import type { RequestName } from "../src-contract/vault-api.ts";
import { failureIn, valueIn, Workroom } from "./testing/workroom.ts";

const ROOT = resolve(fileURLToPath(import.meta.url), "../..");

let room: Workroom;
beforeEach(async () => {
  room = await Workroom.open();
});
afterEach(() => room.close());

/** The program as it is after a broken installation: one of its files cannot be loaded. */
async function programWithout(script: string, home: string, first?: RequestName): Promise<Workroom["vault"]> {
  const program = mkdtempSync(join(room.folder, "program-"));
  for (const name of [
    "src-core",
    "src-contract",
    "e2e/support/tsconfig.json",
    "package.json",
    "tsconfig.base.json",
  ])
    cpSync(join(ROOT, name), join(program, name), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(program, "node_modules"));
  writeFileSync(join(program, script), "throw new Error('this file is broken');\n");
  const { openVault } = (await import(join(program, "src-core/open-vault.ts"))) as {
    openVault: typeof import("./open-vault.ts").openVault;
  };
  return valueIn(await openVault({ home: room.path(home), ...(first === undefined ? {} : { first }) }));
}

type Vault = Workroom["vault"];

function build(vault: Vault, mode: "copy" | "reference" = "copy") {
  return vault.packageBuild({
    engagement: Workroom.ENGAGEMENT,
    sources: [room.path("more")],
    name: "more",
    mode,
  });
}

async function importElsewhere(broken: Vault, id: string) {
  valueIn(await room.vault.packagePull({ package: id, to: room.path("pulled") }));
  return broken.packageImport({ path: room.path("pulled/site-a") });
}

/** Each thread of the program, with work on the package `id` that needs it. */
const WORK: readonly (readonly [string, string, (broken: Vault, id: string) => Promise<Outcome<unknown>>])[] =
  [
    ["package/seal-thread.ts", "home", (broken) => build(broken)],
    ["package/seal-worker.ts", "home", (broken) => build(broken)],
    ["package/seal-worker.ts", "home", (broken) => build(broken, "reference")],
    ["digest/hash-worker.ts", "home", (broken, id) => broken.verify({ target: id, full: true })],
    ["verify/layout-task.ts", "home", (broken, id) => broken.verify({ target: id })],
    ["vault/digest-worker.ts", "home", (broken, id) => broken.packagePush({ package: id })],
    [
      "package/extract-thread.ts",
      "home",
      (broken, id) => broken.packagePull({ package: id, to: room.path("pulled") }),
    ],
    ["package/repack-thread.ts", "other", importElsewhere],
  ];

test.each(WORK)("where %s cannot be loaded, work in %s fails and says why", async (script, home, work) => {
  // Few bytes are hashed without a thread.
  room.write("evidence/a.txt", Buffer.alloc(3 * 1024 * 1024));
  room.write("more/b.txt", "what was found later");
  const { id } = await room.build("evidence");
  await room.addVault();
  if (work === importElsewhere) valueIn(await room.vault.packagePush({ package: id }));
  const broken = await programWithout(`src-core/${script}`, home);
  const failure = failureIn(await work(broken, id));
  expect(failure).toMatchObject({ code: "INTERNAL", message: expect.stringMatching(/this file is broken/) });
  expect(room.packages()).toEqual([id]);
  await broken.close();
});

test.each([
  ["digest/hash-worker.ts", "verify"],
  ["package/seal-thread.ts", "packageBuild"],
] as const)(
  "where %s dies before its work (%s) is known, the work fails and says why",
  async (script, first) => {
    room.write("evidence/a.txt", "what was found");
    room.write("more/b.txt", "what was found later");
    const { id } = await room.build("evidence");
    const broken = await programWithout(`src-core/${script}`, "home", first);
    // As long as a slow program would take to come to its first call.
    await new Promise((resolve) => setTimeout(resolve, 500));
    const outcome =
      first === "verify" ? await broken.verify({ target: id, full: true }) : await build(broken);
    const failure = failureIn(outcome);
    expect(failure).toMatchObject({
      code: "INTERNAL",
      message: expect.stringMatching(/this file is broken/),
    });
    await broken.close();
  },
);
