import { expect, test } from "vitest";
import { FailureError } from "../failing.ts";
import { choosePartSize } from "./part-plan.ts";

const MiB = 1024 ** 2;

test("the part size is the smallest 16 MiB x 2^k of which 9,000 hold the payload", () => {
  expect(choosePartSize(512)).toBe(16 * MiB);
  for (let k = 0; k <= 8; k++) {
    const size = 16 * MiB * 2 ** k;
    expect(choosePartSize(9_000 * size)).toBe(size);
    if (k < 8) expect(choosePartSize(9_000 * size + 512)).toBe(2 * size);
  }
});

test("what does not fit into 9,000 parts of 4 GiB is refused and told to be split", () => {
  const largest = 9_000 * 4096 * MiB;
  expect(() => choosePartSize(largest + 512)).toThrow(FailureError);
  expect(() => choosePartSize(largest + 512)).toThrow(
    expect.objectContaining({
      failure: expect.objectContaining({
        code: "PACKAGE_TOO_LARGE",
        nextStep: expect.stringContaining("Split"),
      }),
    }),
  );
});
