import { expect, test } from "vitest";
import type { FailureCode } from "../../src-contract/failure.ts";
import { fail } from "../failing.ts";
import { failureOf } from "../vault/vault-fixtures.ts";
import { type RetryPolicy, retrying } from "./retry.ts";

function policy(random = 0.5): RetryPolicy & { readonly waits: number[] } {
  const waits: number[] = [];
  return {
    tries: 5,
    firstMs: 100,
    longestMs: 300,
    random: () => random,
    sleep: async (ms) => void waits.push(ms),
    waits,
  };
}

function failing(
  code: FailureCode,
  details?: Record<string, unknown>,
): { readonly work: () => Promise<never>; readonly tries: () => number } {
  let tries = 0;
  const work = () => {
    tries++;
    return Promise.reject(fail(code, "m", "n", details === undefined ? {} : { details }));
  };
  return { work, tries: () => tries };
}

test("what can heal is tried again, with waits that grow up to a limit", async () => {
  const { work, tries } = failing("IO_ERROR");
  const waiting = policy();
  expect((await failureOf(retrying(waiting, undefined, work))).code).toBe("IO_ERROR");
  expect(tries()).toBe(5);
  expect(waiting.waits).toEqual([50, 100, 150, 150]);
});

test.each<FailureCode>([
  "DIGEST_MISMATCH",
  "DISK_FULL",
  "OBJECT_CONFLICT",
  "WRITE_REFUSED",
  "CANCELLED",
  "INTERNAL",
  "BUSY",
])("%s is never tried again", async (code) => {
  const { work, tries } = failing(code);
  expect((await failureOf(retrying(policy(), undefined, work))).code).toBe(code);
  expect(tries()).toBe(1);
});

test("a store that asks for a pause gets it, within the limit", async () => {
  const waiting = policy(0);
  await failureOf(retrying(waiting, undefined, failing("IO_ERROR", { retryAfterMs: 250 }).work));
  expect(waiting.waits).toEqual([250, 250, 250, 250]);
  const patient = policy(0);
  await failureOf(retrying(patient, undefined, failing("IO_ERROR", { retryAfterMs: 99_999 }).work));
  expect(patient.waits[0]).toBe(300);
});

test("a user who stops it during a wait is heard", async () => {
  const stop = new AbortController();
  const { work, tries } = failing("VAULT_UNREACHABLE");
  const waiting = { ...policy(), sleep: async () => stop.abort() };
  expect((await failureOf(retrying(waiting, stop.signal, work))).code).toBe("CANCELLED");
  expect(tries()).toBe(1);
});
