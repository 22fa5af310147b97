import { join } from "node:path";
import { expect, test } from "vitest";
import type { VaultHealth } from "../../src-contract/vault-api.ts";
import { openDatabase } from "../catalog/database.ts";
import { ledgerMigrations } from "../catalog/ledger-migrations/index.ts";
import { failureIn, valueIn } from "../testing/workroom.ts";
import { type AmazonRoom, amazonRoom } from "./amazon-room-fixtures.ts";

/** Results of the probes that the ledger keeps of the only vault. */
function keptOf({ room }: AmazonRoom): Record<string, string> {
  const ledger = openDatabase(join(room.home, "ledger.db"), ledgerMigrations, false);
  const row = ledger.prepare<[], { health: string }>("SELECT health FROM vaults").get();
  ledger.close();
  const { probes } = JSON.parse(row?.health ?? "{}") as VaultHealth;
  expect(new Set(probes.map(({ name }) => name)).size).toBe(probes.length);
  return Object.fromEntries(probes.map(({ name, result }) => [name, result]));
}

const BY_WRITING = {
  "digest on write": "ok",
  "create only": "ok",
  "create only, multipart": "ok",
  checksums: "ok",
  etag: "ok",
};

test("what a writer's probe found stays when somebody looks who may only read", async () => {
  await using at = await amazonRoom({ reader: "READER" });
  valueIn(await at.add());
  expect(keptOf(at)).toMatchObject({ writable: "ok", ...BY_WRITING });
  const reader = await at.as("READER");
  const told = valueIn(await reader.vaultHealth({ name: "lake" }));
  expect(told.probes.find(({ name }) => name === "etag")?.result).toBe("unknown");
  expect(keptOf(at)).toMatchObject({ writable: "limited", ...BY_WRITING });
  valueIn(await reader.vaultSetCredentials({ name: "lake", credentials: "env" }));
  expect(keptOf(at)).toMatchObject({ writable: "limited", ...BY_WRITING });
});

test("what only a reader has looked at becomes known by the first writer", async () => {
  await using at = await amazonRoom({ reader: "READER", ignoresChecksums: true });
  const reader = await at.as("READER");
  const { bucket, endpoint } = at.store.settings;
  valueIn(await reader.vaultAddS3({ name: "lake", bucket, endpoint: endpoint ?? "", credentials: "env" }));
  expect(keptOf(at)).toMatchObject({ writable: "limited", etag: "unknown" });
  valueIn(await at.vault.vaultHealth({ name: "lake" }));
  expect(keptOf(at)).toMatchObject({ writable: "ok", ...BY_WRITING, checksums: "limited" });
});

test("what is kept of a vault is shown without asking its store", async () => {
  await using at = await amazonRoom();
  valueIn(await at.add({ encryption: "AES256", storageClass: "STANDARD_IA", region: "eu-central-1" }));
  const before = at.amazon.asked.length;
  const shown = valueIn(await at.vault.vaultShow({ name: "lake" }));
  expect(at.amazon.asked.length).toBe(before);
  expect(shown).toMatchObject({
    ...{ name: "lake", kind: "s3", credentials: "environment" },
    store: { bucket: "bucket", region: "eu-central-1", storageClass: "STANDARD_IA", encryption: "AES256" },
    probed: expect.stringMatching(/^20\d\d-/),
  });
  expect(shown.health?.probes).toContainEqual({
    name: "encryption",
    result: "ok",
    detail: "the store says that it encrypts objects: AES256",
  });
  valueIn(await at.vault.vaultAddFolder({ name: "stick", path: at.room.path("ev") }));
  expect(valueIn(await at.vault.vaultShow({ name: "stick" }))).toMatchObject({
    ...{ kind: "folder", store: null, health: { fit: true } },
  });
  expect(failureIn(await at.vault.vaultShow({ name: "none" })).code).toBe("VAULT_NOT_FOUND");
});
