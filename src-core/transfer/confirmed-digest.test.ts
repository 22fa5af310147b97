import { expect, test } from "vitest";
import { fail } from "../failing.ts";
import { failureOf } from "../vault/vault-fixtures.ts";
import { confirmedDigest, untilConfirmed } from "./confirmed-digest.ts";

/** Answers these, one after the other, then the last for ever. */
function answers(...digests: readonly string[]): {
  readonly read: () => Promise<string>;
  readonly reads: () => number;
} {
  let reads = 0;
  return { read: async () => digests[Math.min(reads++, digests.length - 1)] ?? "", reads: () => reads };
}

test("bytes that come right at once are read once", async () => {
  const { read, reads } = answers("right");
  expect(await confirmedDigest(read, "right")).toBe("right");
  expect(reads()).toBe(1);
});

test("damage on the way is read again until the bytes are right", async () => {
  expect(await confirmedDigest(answers("x", "y", "right").read, "right")).toBe("right");
});

test("what is wrong twice in the same way is wrong where it is stored", async () => {
  const { read, reads } = answers("wrong", "wrong", "right");
  expect(await confirmedDigest(read, "right")).toBe("wrong");
  expect(reads()).toBe(2);
});

test("where every reading differs nothing is called damaged, and what was read is named", async () => {
  let reads = 0;
  const failure = await failureOf(
    confirmedDigest(async () => `wrong ${reads++}`, "right", "Part 2 of a.tar"),
  );
  expect(failure).toMatchObject({
    code: "VAULT_UNREACHABLE",
    details: { reason: "every reading differs" },
  });
  expect(failure.message).toContain("Part 2 of a.tar was read 4 times, each time with other bytes");
  expect(reads).toBe(4);
});

test("the last reading still counts: a digest that came before is believed", async () => {
  expect(await confirmedDigest(answers("x", "y", "z", "y").read, "right")).toBe("y");
  expect(await confirmedDigest(answers("x", "y", "z", "right").read, "right")).toBe("right");
});

test("work that found wrong bytes is done again, other failures are not", async () => {
  let tries = 0;
  const wrong = (actual: string) => fail("DIGEST_MISMATCH", "Wrong.", "Look.", { details: { actual } });
  expect(
    await untilConfirmed(async () => {
      tries++;
      if (tries < 3) throw wrong(`digest ${tries}`);
      return "done";
    }),
  ).toBe("done");
  expect((await failureOf(untilConfirmed(() => Promise.reject(wrong("same"))))).code).toBe("DIGEST_MISMATCH");
  tries = 0;
  const other = () => Promise.reject(wrong(`digest ${tries++}`));
  expect((await failureOf(untilConfirmed(other))).code).toBe("VAULT_UNREACHABLE");
  expect(tries).toBe(4);
  tries = 0;
  const full = async () => {
    tries++;
    throw fail("DISK_FULL", "Full.", "Free some.");
  };
  expect((await failureOf(untilConfirmed(full))).code).toBe("DISK_FULL");
  expect(tries).toBe(1);
});
