import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fileRecordSchema } from "../../src-contract/manifest.ts";
import { isFileRecord } from "./manifest-record.ts";

const sha256 = "0123456789abcdef".repeat(4);
const time = "2026-05-04T03:02:01.123456789Z";
const plain = { path: "data/a", size: 3, sha256, offset: 1024, mediaType: "text/plain", modified: time };

describe("isFileRecord accepts what fileRecordSchema accepts", () => {
  const agree = (value: unknown): void => {
    expect({ value, accepted: isFileRecord(value) }).toEqual({
      value,
      accepted: fileRecordSchema.safeParse(value).success,
    });
  };
  const odd = [
    null,
    true,
    0,
    -1,
    1.5,
    2 ** 53,
    2 ** 53 - 1,
    "",
    "data/",
    "x",
    [],
    {},
    sha256,
    `${sha256}\n`,
    sha256.toUpperCase(),
    sha256 + sha256,
    time,
    "2026-05-04T03:02:01Z\n",
    "2026-05-04T03:02:01+00:00",
    "-00001-01-01T00:00:00Z",
    "x".repeat(255),
    "x".repeat(256),
    "😀".repeat(255),
    "😀".repeat(256),
    { born: time },
    { born: "today" },
    { owner: 1 },
    { mode: "0644", extra: "" },
  ];

  test("every field with every odd value, left out, and unknown ones", () => {
    const source = { born: time, owner: "0:0", mode: "0644", rawPath: "ff" };
    const full = { ...plain, source, sha512: sha256 + sha256, mediaTypeByName: "a/b" };
    agree(full);
    for (const value of odd) agree(value);
    for (const key of [...Object.keys(full), "extra"]) {
      for (const value of odd) agree({ ...full, [key]: value });
      agree(Object.fromEntries(Object.entries(full).filter(([name]) => name !== key)));
    }
  });

  test("anything else", () => {
    const field = fc.oneof(fc.constantFrom(...odd), fc.jsonValue());
    const keys = [
      "path",
      "size",
      "sha256",
      "sha512",
      "offset",
      "mediaType",
      "mediaTypeByName",
      "modified",
      "source",
    ];
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...keys, "x"), field), (change) => {
        agree({ ...plain, ...change });
      }),
    );
    fc.assert(fc.property(fc.jsonValue(), (value) => agree(value)));
  });
});
