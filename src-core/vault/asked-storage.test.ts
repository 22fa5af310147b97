import { expect, test } from "vitest";
import { failureIn, valueIn, Workroom } from "../testing/workroom.ts";
import { amazonRoom } from "./amazon-room-fixtures.ts";

test.each([
  [
    "encryption",
    { encryption: "AES256" } as const,
    { encryption: "ignored" } as const,
    "--encryption AES256",
  ],
  ["storage class", { storageClass: "GLACIER" }, {}, "--storage-class GLACIER"],
])(
  "a store that does not keep objects with the %s asked for is no vault, and nothing is left in it",
  async (name, asked, deviations, option) => {
    await using at = await amazonRoom(deviations);
    const failure = failureIn(await at.add(asked));
    expect(failure).toMatchObject({ code: "VAULT_UNFIT", message: expect.stringContaining(`${name}: `) });
    expect(failure.message).toContain(option);
    expect(failure.nextStep).toContain(option.split(" ")[0]);
    expect([valueIn(await at.vault.vaultList({})), [...at.amazon.objects.keys()]]).toEqual([[], []]);
  },
);

test("archives and artifacts alone are stored in the class that was asked for", async () => {
  await using at = await amazonRoom();
  valueIn(await at.add({ storageClass: "STANDARD_IA" }));
  valueIn(await at.vault.engagementSetVault({ id: Workroom.ENGAGEMENT, vault: "lake" }));
  const { id } = await at.room.build("ev");
  valueIn(await at.vault.packagePush({ package: id }));
  const place = { vault: "lake", audit: "audit-1", phase: "recon" };
  valueIn(await at.vault.artifactPut({ ...place, file: at.room.path("ev/a.txt") }));
  async function* stream() {
    yield Buffer.from("streamed");
  }
  valueIn(await at.vault.artifactPut({ ...place, name: "s.txt" }, { content: stream() }));
  const inClass = new Map(
    [...at.amazon.objects].map(([key, { kept }]) => [
      key.slice(key.lastIndexOf("/") + 1).replace(/^.*-20\d\d.*\.json$/, "stored.json"),
      kept?.["x-amz-storage-class"] ?? "STANDARD",
    ]),
  );
  expect(Object.fromEntries(inClass)).toEqual({
    "strongroom-vault.json": "STANDARD",
    "site-a.tar": "STANDARD_IA",
    "manifest.json": "STANDARD",
    "stored.json": "STANDARD",
    "seal.json": "STANDARD",
    "a.txt": "STANDARD_IA",
    "s.txt": "STANDARD_IA",
  });
});

test("a store that refuses If-None-Match is a vault like another", async () => {
  await using at = await amazonRoom({ refusesIfNoneMatch: true });
  valueIn(await at.add());
  valueIn(await at.vault.engagementSetVault({ id: Workroom.ENGAGEMENT, vault: "lake" }));
  const { id } = await at.room.build("ev");
  expect(valueIn(await at.vault.packagePush({ package: id })).alreadyStored).toBe(false);
  expect([...at.amazon.objects.keys()].some((key) => key.endsWith("/seal.json"))).toBe(true);
});
