import { expect, test } from "vitest";
import { fields, table, wrapped } from "./text-layout.ts";

test("a table aligns text left and figures right, wide characters included", () => {
  const rows = [
    { name: "日本", size: "1.0 KiB" },
    { name: "plain", size: "12 B" },
  ];
  const text = table(
    rows,
    [
      { heading: "NAME", cell: (row) => row.name },
      { heading: "SIZE", cell: (row) => row.size, side: "right" },
    ],
    "Nothing.",
  );
  expect(text).toBe("NAME      SIZE\n日本   1.0 KiB\nplain     12 B\n");
  expect(table([], [], "Nothing.")).toBe("Nothing.\n");
});

test("fields align their values and leave out what is null", () => {
  expect(
    fields([
      ["Name", "x"],
      ["Title", null],
      ["Engagement", "y"],
    ]),
  ).toBe("  Name        x\n  Engagement  y\n");
});

test("long text is broken between words, as narrow as its words allow", () => {
  expect(wrapped("the store keeps 日本 and checks it", 15)).toEqual([
    "the store keeps",
    "日本 and checks",
    "it",
  ]);
  expect(wrapped("https://s3.example.org/evidence is a word", 10)).toEqual([
    "https://s3.example.org/evidence",
    "is a word",
  ]);
  expect(wrapped("", 10)).toEqual([""]);
});
