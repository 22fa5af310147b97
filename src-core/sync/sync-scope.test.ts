import { mkdirSync, readdirSync, renameSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { CancelSignal } from "../../src-contract/progress.ts";
import { type OpenedVault, openVault } from "../open-vault.ts";
import { forgeStored } from "../testing/forge-stored.ts";
import { failureIn, valueIn, Workroom } from "../testing/workroom.ts";
import { TwoDevices } from "./sync-fixtures.ts";

const ID = "01938c7e-7b3a-7000-8000-0000000000";

describe("what is synced", () => {
  let room: Workroom;
  let device: OpenedVault;
  beforeEach(async () => {
    room = await Workroom.open();
    device = await room.openOther("device");
  });
  afterEach(async () => {
    await device.close();
    await room.close();
  });

  /** An engagement with a folder vault of its own that holds one package. */
  async function engage(engagement: string): Promise<string> {
    const path = room.path(`vault-${engagement}`);
    mkdirSync(path);
    valueIn(await device.vaultAddFolder({ name: `vault-${engagement}`, path }));
    valueIn(await device.engagementCreate({ id: engagement, vault: `vault-${engagement}` }));
    const packageId = `${ID}${String(10 + readdirSync(room.folder).length)}`;
    await forgeStored(path, { packageId, engagement, name: "forged", files: 2 });
    return packageId;
  }

  test("nothing, where there is neither engagement nor vault, with the way to one", async () => {
    expect(failureIn(await device.sync({}))).toMatchObject({
      code: "VAULT_MISSING",
      nextStep: expect.stringContaining("engagement create ID --vault NAME"),
    });
    valueIn(await device.engagementCreate({ id: "bare" }));
    for (const request of [{}, { engagement: "bare" }])
      expect(failureIn(await device.sync(request))).toMatchObject({
        code: "VAULT_MISSING",
        nextStep: expect.stringContaining("engagement set-vault bare NAME"),
      });
    expect(failureIn(await device.sync({ engagement: "none" })).code).toBe("ENGAGEMENT_NOT_FOUND");
  });

  test("the engagement that is named, or all that have a vault", async () => {
    const [one, two] = [await engage("one"), await engage("two")];
    valueIn(await device.engagementCreate({ id: "bare" }));
    const named = valueIn(await device.sync({ engagement: "two" }));
    expect(named.engagements).toMatchObject([{ engagement: "two", vault: "vault-two", added: [two] }]);
    const all = valueIn(await device.sync({}));
    expect(all.engagements).toMatchObject([
      { engagement: "one", vault: "vault-one", added: [one], stored: 1, sent: 0 },
      { engagement: "two", vault: "vault-two", added: [], stored: 1 },
    ]);
    expect(valueIn(await device.packageList({ engagement: "one" })).map(({ id }) => id)).toEqual([one]);
  });

  test("the others, where one vault cannot be reached; nothing, where none can", async () => {
    const [one, two] = [await engage("one"), await engage("two")];
    renameSync(room.path("vault-one"), room.path("away-one"));
    expect(valueIn(await device.sync({})).engagements).toMatchObject([
      { engagement: "one", added: [], stored: null, failure: { code: "VAULT_UNREACHABLE" } },
      { engagement: "two", added: [two], failure: null },
    ]);
    renameSync(room.path("vault-two"), room.path("away-two"));
    const none = failureIn(await device.sync({}));
    expect(none.code).toBe("VAULT_UNREACHABLE");
    for (const name of ["vault-one", "vault-two"]) expect(JSON.stringify(none)).toContain(name);
    const named = failureIn(await device.sync({ engagement: "two" }));
    expect(named).toMatchObject({ code: "VAULT_UNREACHABLE", subject: room.path("vault-two") });
    renameSync(room.path("away-one"), room.path("vault-one"));
    expect(valueIn(await device.sync({})).engagements).toMatchObject([
      { engagement: "one", added: [one], failure: null },
      { engagement: "two", failure: { code: "VAULT_UNREACHABLE" } },
    ]);
    expect(valueIn(await device.packageList({})).map(({ storedIn }) => storedIn)).toEqual([
      "vault-one",
      "vault-two",
    ]);
  });

  test("a package of one engagement does not pass for one of another", async () => {
    const id = await engage("one");
    await engage("two");
    valueIn(await device.sync({ engagement: "one" }));
    await forgeStored(room.path("vault-two"), { packageId: id, engagement: "two", name: "forged", files: 2 });
    const outcome = await device.sync({ engagement: "two" });
    expect(valueIn(outcome).engagements).toMatchObject([{ stored: 2, problems: 1 }]);
    expect(outcome.ok && outcome.warnings).toMatchObject([{ code: "OBJECT_CONFLICT", subject: id }]);
  });
});

describe("a sync", () => {
  let two: TwoDevices;
  beforeEach(async () => {
    two = await TwoDevices.open();
    for (let i = 10; i < 30; i++)
      await forgeStored(two.vault, {
        ...{ packageId: `${ID}${i}`, engagement: Workroom.ENGAGEMENT, name: "forged", files: 50 },
      });
  });
  afterEach(() => two.close());

  const hidden = () => readdirSync(two.room.path("reader")).filter((name) => name.startsWith("."));

  test("that is stopped keeps what it has learnt, leaves nothing else, and is gone on with", async () => {
    const stop = new AbortController();
    const signal: CancelSignal = stop.signal;
    const outcome = await two.reader.sync(
      {},
      {
        signal,
        onProgress: ({ phase, done }) => {
          if (phase === "fetch manifests" && done > 0) stop.abort();
        },
      },
    );
    const known = valueIn(await two.reader.packageList({})).length;
    expect(hidden()).toEqual([]);
    const { added, stored } = await two.sync();
    expect({ stored, known: known + added.length }).toEqual({ stored: 20, known: 20 });
    // Where all were learnt before the word of the first went out, there was nothing left to stop.
    if (!outcome.ok) expect(outcome.failure.code).toBe("CANCELLED");
  });

  test("beside others, of the same state folder and of another, does what each would have done alone", async () => {
    const beside = valueIn(await openVault({ home: two.room.path("reader") }));
    const results = await Promise.all([two.reader, beside, two.room.vault].map((device) => two.sync(device)));
    for (const result of results) expect(result).toMatchObject({ stored: 20, problems: 0, failure: null });
    for (const device of [two.reader, beside, two.room.vault]) {
      expect(valueIn(await device.packageList({}))).toHaveLength(20);
      const { total } = valueIn(await device.packageFiles({ package: `${ID}15`, search: "ITEM-0000049" }));
      expect(total).toBe(1);
    }
    expect(hidden()).toEqual([]);
    await beside.close();
  });
});
