import { createHash } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { openDatabase } from "../catalog/database.ts";
import { ledgerMigrations } from "../catalog/ledger-migrations/index.ts";
import { checkChain } from "../custody/custody-log.ts";
import { failureIn, filesBelow, valueIn, Workroom } from "../testing/workroom.ts";
import { describeArtifacts } from "./artifact-fixtures.ts";

async function openPlace() {
  const room = await Workroom.open();
  const folder = await room.addVault();
  return {
    room,
    folder,
    vault: room.vault,
    name: "stick",
    tellsLater: true,
    async putByHand(key: string, bytes: Uint8Array, digest?: string) {
      const file = join(folder, key);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, bytes);
      const name = key.slice(key.lastIndexOf("/") + 1);
      if (digest !== undefined) writeFileSync(join(dirname(file), `.${name}.sha256`), `${digest}  ${name}\n`);
    },
    everything: async () =>
      filesBelow(folder).filter((name) => name.startsWith("campaigns/") && !/\/\.[^/]+\.sha256$/.test(name)),
    [Symbol.asyncDispose]: () => room.close(),
  };
}

describeArtifacts("artifacts in a folder vault", openPlace);

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

test("puts and gets are custody events, whole in the chain", async () => {
  await using place = await openPlace();
  const { vault, room } = place;
  const file = room.write("work/hosts.json", "{}");
  const request = { audit: "acme-2026", phase: "01_recon" };
  valueIn(await vault.artifactPut({ ...request, file }));
  valueIn(await vault.artifactPut({ ...request, file }));
  valueIn(await vault.artifactGet({ ...request, name: "hosts.json", to: room.path("out") }));
  failureIn(await vault.artifactGet({ ...request, name: "hosts.json", to: room.path("out") }));
  valueIn(await vault.artifactPut({ audit: "LAKE_7", phase: "x", file, vault: "stick" }));
  const ledger = openDatabase(join(room.home, "ledger.db"), ledgerMigrations, false);
  const events = ledger
    .prepare("SELECT type, engagement, details FROM custody_events WHERE type LIKE 'artifact-%' ORDER BY seq")
    .all() as { type: string; engagement: string | null; details: string }[];
  expect(checkChain(ledger).state).toBe("whole");
  ledger.close();
  expect(events.map(({ type, engagement }) => [type, engagement])).toEqual([
    ["artifact-stored", "acme-2026"],
    ["artifact-stored", "acme-2026"],
    ["artifact-fetched", "acme-2026"],
    ["artifact-stored", null],
  ]);
  const details = events.map((event) => JSON.parse(event.details));
  expect(details[0]).toMatchObject({
    key: "campaigns/acme-2026/01_recon/hosts.json",
    sha256: sha256("{}"),
    size: 2,
    vault: "stick",
    already: false,
  });
  expect(details[1]).toMatchObject({ already: true });
  expect(details[2]).toMatchObject({ checked: true, sha256: sha256("{}") });
  expect(details[3]).toMatchObject({ key: "campaigns/LAKE_7/x/hosts.json", audit: "LAKE_7" });
});

test.each([10, 20 * 1024 * 1024])(
  "a file of %i bytes whose digest was lost, since its put was killed, has it again when it is put again",
  async (size) => {
    await using place = await openPlace();
    const { vault, room } = place;
    const file = room.write("work/hosts.json", "x".repeat(size));
    const request = { audit: "acme-2026", phase: "01_recon" };
    valueIn(await vault.artifactPut({ ...request, file }));
    rmSync(join(place.folder, "campaigns/acme-2026/01_recon/.hosts.json.sha256"));
    const again = await vault.artifactPut({ ...request, file });
    expect(again).toMatchObject({ ok: true, value: { alreadyStored: true } });
    expect(again.ok && again.warnings).toBeUndefined();
    const got = await vault.artifactGet({ ...request, name: "hosts.json", to: room.path("out") });
    expect(valueIn(got).checked).toBe(true);
  },
);

test("the vault is the one that is named, else the engagement's; where neither tells, that is said", async () => {
  const room = await Workroom.open();
  try {
    const file = room.write("x.json", "{}");
    const missing = async (audit: string) =>
      failureIn(await room.vault.artifactPut({ audit, phase: "01_recon", file }));
    expect(await missing("acme-2026")).toMatchObject({
      code: "VAULT_MISSING",
      message: "No vault is named, and engagement acme-2026 has none.",
    });
    expect((await missing("nobody-2026")).message).toContain("no engagement nobody-2026");
    expect((await missing("NOT_A_SLUG")).code).toBe("VAULT_MISSING");
    await room.addVault();
    expect(valueIn(await room.vault.artifactPut({ audit: "acme-2026", phase: "01_recon", file })).vault).toBe(
      "stick",
    );
    const unknown = await room.vault.artifactPut({
      audit: "acme-2026",
      phase: "01_recon",
      file,
      vault: "no",
    });
    expect(failureIn(unknown).code).toBe("VAULT_NOT_FOUND");
  } finally {
    await room.close();
  }
});

test("names that some vault or system cannot hold are refused; another one can be given", async () => {
  await using place = await openPlace();
  const { vault, room } = place;
  const file = room.write("work/a:b.json", "{}");
  const request = { audit: "acme-2026", phase: "01_recon" };
  const refused = failureIn(await vault.artifactPut({ ...request, file }));
  expect(refused).toMatchObject({ code: "INVALID_INPUT", subject: file });
  expect(refused.nextStep).toContain("--name");
  expect(valueIn(await vault.artifactPut({ ...request, file, name: "a-b.json" })).name).toBe("a-b.json");
  const bad = [
    "",
    ".",
    "..",
    ".hidden",
    "a/b",
    "a\\b",
    "x.",
    " x",
    "CON",
    "nul.json",
    "a\u0000",
    "x".repeat(201),
  ];
  for (const name of bad) {
    expect([name, failureIn(await vault.artifactPut({ ...request, file, name })).code]).toEqual([
      name,
      "INVALID_INPUT",
    ]);
  }
  for (const audit of ["", "..", "a/b", "-x", "a b", "aux"]) {
    expect(failureIn(await vault.artifactPut({ ...request, audit, file })).code).toBe("INVALID_INPUT");
  }
  for (const phase of ["", "..", "a/b", ".x", "a b"]) {
    expect(failureIn(await vault.artifactPut({ ...request, phase, file })).code).toBe("INVALID_INPUT");
  }
  for (const name of ["../x", "a//b", "./x", "/etc/passwd"]) {
    const got = await vault.artifactGet({ ...request, name, to: room.path("out") });
    expect(failureIn(got).code).toBe("INVALID_INPUT");
  }
});

test("every phase is known by its name and its word, in any case", async () => {
  await using place = await openPlace();
  const file = place.room.write("x.json", "{}");
  const phases = {
    "01_recon": ["01_recon", "01_RECON", "reconnaissance", "Reconnaissance", "recon"],
    "02_scanning": ["02_scanning", "SCANNING"],
    "03_planning": ["03_planning", "Planning"],
    "04_execution": ["04_execution", "execution"],
    "05_Report": ["05_Report"],
  };
  for (const [folder, words] of Object.entries(phases)) {
    for (const phase of words) {
      const put = valueIn(await place.vault.artifactPut({ audit: "acme-2026", phase, file }));
      expect(put.phase).toBe(folder);
    }
  }
});

test("what is not one regular file is refused; nothing is written over", async () => {
  await using place = await openPlace();
  const { vault, room } = place;
  const request = { audit: "acme-2026", phase: "01_recon" };
  const codes = async (file: string) => failureIn(await vault.artifactPut({ ...request, file })).code;
  expect(await codes(room.path("gone.json"))).toBe("PATH_NOT_FOUND");
  mkdirSync(room.path("folder.json"));
  expect(await codes(room.path("folder.json"))).toBe("PATH_NOT_EVIDENCE");
  const none = await vault.artifactPut({ ...request, name: "x" });
  expect(failureIn(none).code).toBe("INVALID_INPUT");
  const nameless = await vault.artifactPut(request, { content: Readable.from([]) });
  expect(failureIn(nameless)).toMatchObject({ code: "INVALID_INPUT", subject: "name" });
  const file = room.write("x.json", "{}");
  valueIn(await vault.artifactPut({ ...request, file }));
  const gone = await vault.artifactGet({ ...request, name: "y.json", to: room.path("out") });
  expect(failureIn(gone).code).toBe("ARTIFACT_NOT_FOUND");
  const taken = await vault.artifactGet({ ...request, name: "x.json", to: room.folder });
  expect(failureIn(taken).code).toBe("PATH_EXISTS");
  const inside = await vault.artifactGet({ ...request, name: "x.json", to: join(room.home, "packages") });
  expect(failureIn(inside).code).toBe("INVALID_INPUT");
});

test("what lies in no phase is no artifact; odd names of others are listed as they are", async () => {
  await using place = await openPlace();
  await place.putByHand("campaigns/acme-2026/loose.json", Buffer.from("x"));
  await place.putByHand("campaigns/acme-2026/01_recon/\u202ex.json", Buffer.from("x"));
  const listed = valueIn(await place.vault.artifactList({ audit: "acme-2026" }));
  expect(listed.map(({ name }) => name)).toEqual(["\u202ex.json"]);
});
