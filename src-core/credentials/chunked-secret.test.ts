import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ENTRY_BYTES,
  type EntryStore,
  readSecret,
  removeSecret,
  SecretDamagedError,
  writeSecret,
} from "./chunked-secret.ts";

const ACCOUNT = "vault/acme/1";

class Killed extends Error {}

/** Entries as a keychain holds them; as strict as Windows about their size. It can be killed before or after its n-th change. */
class Entries implements EntryStore {
  readonly held = new Map<string, Uint8Array>();
  changes = 0;
  killAt = 0;
  killed: "before" | "after" = "before";
  /** Where another process gets its turn. */
  turn: () => Promise<void> = async () => undefined;

  async read(name: string): Promise<Uint8Array | null> {
    await this.turn();
    return this.held.get(name) ?? null;
  }

  async write(name: string, bytes: Uint8Array): Promise<void> {
    await this.turn();
    if (bytes.length > ENTRY_BYTES) throw new Error(`an entry of ${bytes.length} bytes`);
    this.change(() => this.held.set(name, Uint8Array.from(bytes)));
  }

  async remove(name: string): Promise<void> {
    await this.turn();
    this.change(() => this.held.delete(name));
  }

  private change(work: () => void): void {
    this.changes++;
    if (this.changes === this.killAt && this.killed === "before") throw new Killed();
    work();
    if (this.changes === this.killAt) throw new Killed();
  }
}

/** Lengths of AWS keys, of a session token that one Windows credential cannot hold, and the most that a request may bring. */
const SECRETS = {
  short: "k".repeat(40),
  "4 KiB": "t".repeat(4096),
  "64 KiB": "T".repeat(65_536),
  /** Two bytes each, three bytes each, and four bytes each: characters lie across the ends of chunks. */
  "non-ASCII": `x${"ä".repeat(3000)}${"漢".repeat(3000)}${"🔑".repeat(2000)}`,
  empty: "",
};

async function holding(secret: string | null): Promise<Entries> {
  const entries = new Entries();
  if (secret !== null) await writeSecret(entries, ACCOUNT, secret);
  entries.changes = 0;
  return entries;
}

describe("a secret of any length", () => {
  test.each(Object.entries(SECRETS))("%s comes back as it was stored", async (_name, secret) => {
    expect(await readSecret(await holding(secret), ACCOUNT)).toBe(secret);
  });

  test("is null when none was stored", async () => {
    expect(await readSecret(new Entries(), ACCOUNT)).toBeNull();
  });

  test("a short one takes one entry; none is left of a longer one that it replaces", async () => {
    const entries = await holding(SECRETS["64 KiB"]);
    expect(entries.held.size).toBe(1 + Math.ceil(65_536 / ENTRY_BYTES));
    await writeSecret(entries, ACCOUNT, SECRETS.short);
    expect([...entries.held.keys()]).toEqual([ACCOUNT]);
    await writeSecret(entries, ACCOUNT, SECRETS["4 KiB"]);
    expect(await readSecret(entries, ACCOUNT)).toBe(SECRETS["4 KiB"]);
  });

  test("is removed with all its chunks, and removing it again is a success", async () => {
    const entries = await holding(SECRETS["64 KiB"]);
    await removeSecret(entries, ACCOUNT);
    await removeSecret(entries, ACCOUNT);
    expect([...entries.held.keys()]).toEqual([]);
  });

  test("does not touch another account whose name begins alike", async () => {
    const entries = await holding(SECRETS["4 KiB"]);
    await writeSecret(entries, `${ACCOUNT}1`, SECRETS["64 KiB"]);
    await removeSecret(entries, ACCOUNT);
    expect(await readSecret(entries, `${ACCOUNT}1`)).toBe(SECRETS["64 KiB"]);
  });
});

describe("killed at every change", () => {
  const steps: readonly (readonly [from: keyof typeof SECRETS | null, to: keyof typeof SECRETS | null])[] = [
    [null, "short"],
    [null, "4 KiB"],
    ["short", "4 KiB"],
    ["4 KiB", "short"],
    ["4 KiB", "non-ASCII"],
    ["64 KiB", "4 KiB"],
    ["4 KiB", null],
    ["short", null],
  ];

  async function step(entries: Entries, to: string | null): Promise<void> {
    if (to === null) await removeSecret(entries, ACCOUNT);
    else await writeSecret(entries, ACCOUNT, to);
  }

  test.each(steps)(
    "%s to %s: the old or the new one is there whole, and the next writer leaves nothing over",
    async (fromName, toName) => {
      const from = fromName === null ? null : SECRETS[fromName];
      const to = toName === null ? null : SECRETS[toName];
      const whole = await holding(from);
      await step(whole, to);
      expect(whole.changes).toBeGreaterThan(0);
      for (let killAt = 1; killAt <= whole.changes; killAt++) {
        for (const killed of ["before", "after"] as const) {
          const entries = await holding(from);
          Object.assign(entries, { killAt, killed });
          await expect(step(entries, to)).rejects.toThrow(Killed);
          expect([from, to]).toContain(await readSecret(entries, ACCOUNT));
          const third = "n".repeat(3000);
          await writeSecret(entries, ACCOUNT, third);
          expect(await readSecret(entries, ACCOUNT)).toBe(third);
          expect(entries.held.size).toBe(3);
          await removeSecret(entries, ACCOUNT);
          expect(entries.held.size).toBe(0);
        }
      }
    },
  );
});

describe("what somebody else changed", () => {
  test.each(["removed", "cut", "exchanged"])("a chunk that was %s is found", async (how) => {
    const entries = await holding(SECRETS["64 KiB"]);
    const [first = "", second = ""] = [...entries.held.keys()].filter((name) => name !== ACCOUNT);
    if (how === "removed") entries.held.delete(second);
    else if (how === "cut") entries.held.set(second, new Uint8Array(10));
    else entries.held.set(first, Buffer.alloc(ENTRY_BYTES, "other"));
    await expect(readSecret(entries, ACCOUNT)).rejects.toThrow(SecretDamagedError);
    await writeSecret(entries, ACCOUNT, SECRETS.short);
    expect(await readSecret(entries, ACCOUNT)).toBe(SECRETS.short);
  });

  test.each([
    "AKIA-and-secret-by-hand",
    "{}",
    '{"format":"strongroom-secret/2","secret":null,"leftovers":[]}',
    "",
  ])(
    "a head that is none (%j) is found, shows nothing of itself, and is replaced by the next secret",
    async (text) => {
      const entries = new Entries();
      entries.held.set(ACCOUNT, Buffer.from(text));
      const error: unknown = await readSecret(entries, ACCOUNT).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(SecretDamagedError);
      expect(String(error)).toBe("SecretDamagedError");
      await writeSecret(entries, ACCOUNT, SECRETS["4 KiB"]);
      expect(await readSecret(entries, ACCOUNT)).toBe(SECRETS["4 KiB"]);
    },
  );
});

describe("several processes at the same time", () => {
  const [old, one, other] = ["o".repeat(6000), "1".repeat(7000), "2".repeat(8000)] as const;

  /** What each piece of work gave, or the error that it threw, in an order of turns that the scheduler chooses. */
  async function interleaved(
    scheduler: fc.Scheduler,
    entries: Entries,
    work: readonly (() => Promise<unknown>)[],
  ): Promise<unknown[]> {
    entries.turn = () => scheduler.schedule(Promise.resolve());
    const all = Promise.all(work.map((one) => one().catch((error: unknown) => error)));
    await scheduler.waitFor(all);
    entries.turn = async () => undefined;
    return all;
  }

  test("a reader beside a writer meets the old or the new secret, and never none", async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.constantFrom(one, "short"), async (scheduler, secret) => {
        const entries = await holding(old);
        const [, ...found] = await interleaved(scheduler, entries, [
          () => writeSecret(entries, ACCOUNT, secret),
          () => readSecret(entries, ACCOUNT),
          () => readSecret(entries, ACCOUNT),
        ]);
        for (const result of found) expect([old, secret]).toContain(result);
      }),
      { numRuns: 300 },
    );
  });

  test("two writers: nobody ever reads a mixture, one of the two wins, or one is told that none did", async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (scheduler) => {
        const entries = await holding(old);
        const [first, second, ...found] = await interleaved(scheduler, entries, [
          () => writeSecret(entries, ACCOUNT, one),
          () => writeSecret(entries, ACCOUNT, other),
          () => readSecret(entries, ACCOUNT),
        ]);
        for (const result of found) {
          if (!(result instanceof SecretDamagedError)) expect([old, one, other]).toContain(result);
        }
        const end = await readSecret(entries, ACCOUNT).catch((error: unknown) => error);
        if (end instanceof SecretDamagedError) expect([first, second]).toContainEqual(end);
        else expect([one, other]).toContain(end);
        await writeSecret(entries, ACCOUNT, old);
        expect(await readSecret(entries, ACCOUNT)).toBe(old);
      }),
      { numRuns: 500 },
    );
  });

  test("a writer that another one overtook stores its secret anew, and whoever reads meanwhile meets a whole one", async () => {
    const entries = await holding(old);
    const others = Object.assign(new Entries(), { held: entries.held });
    let turns = 0;
    entries.turn = async () => {
      turns++;
      // In the middle of the chunks.
      if (turns === 4) await writeSecret(others, ACCOUNT, other);
      expect([old, one, other]).toContain(await readSecret(others, ACCOUNT));
    };
    await writeSecret(entries, ACCOUNT, one);
    expect(turns).toBeGreaterThan(4);
    expect(await readSecret(others, ACCOUNT)).toBe(one);
    expect(entries.held.size).toBe(1 + Math.ceil(one.length / ENTRY_BYTES));
  });
});
