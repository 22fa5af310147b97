import { expect, test } from "vitest";
import { type FakeStore, fakeStore, refuse } from "./fake-store-fixtures.ts";
import { collect, failureOf } from "./vault-fixtures.ts";

const object = (key: string) => `<Contents><Key>${key}</Key><Size>1</Size><ETag>"e"</ETag></Contents>`;
const page = (content: string, next: string | null) =>
  `<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>${next !== null}</IsTruncated>${
    next === null ? "" : `<NextContinuationToken>${next}</NextContinuationToken>`
  }${content}</ListBucketResult>`;

/** A store that answers with these pages, one after another. */
function pages(...texts: readonly string[]) {
  const left = [...texts];
  return fakeStore((_request, response) => void response.writeHead(200).end(left.shift()), {
    settings: { prefix: "team a/v" },
  });
}
const keysOf = async (store: Awaited<ReturnType<typeof pages>>, prefix = "") =>
  (await collect(store.vault.list(prefix))).map(({ key }) => key);

test("all pages are listed, keys without the vault's prefix, however a store writes them", async () => {
  await using store = await pages(
    page(
      object("team+a/v/one") + object("team%20a/v/two%2Bthree%26%25") + object("team+a/v/%C3%A9%01%0A"),
      "t1",
    ),
    page(object("team+a/v/four"), "t2"),
    page("", null),
  );
  expect(await keysOf(store)).toEqual(["one", "two+three&%", "é\u0001\n", "four"]);
  expect(
    store.asked.map((url) => new URL(url.slice(4), "http://s").searchParams.get("continuation-token")),
  ).toEqual([null, "t1", "t2"]);
});

test("what lies outside of the prefix is never listed, whatever the store says", async () => {
  const hostile = ["other/x", "team+a/vx", "team+a", "../x", "team+a/v/in/../../../x"].map(object).join("");
  await using store = await pages(
    page(hostile, null),
    page(object("team+a/v/in/a") + object("team+a/v/out/b"), null),
  );
  expect(await keysOf(store)).toEqual(["in/../../../x"]);
  expect(await keysOf(store, "in/")).toEqual(["in/a"]);
});

test("a key that is no Unicode is listed, not left out", async () => {
  await using store = await pages(page(object("team+a/v/%FF.tar"), null));
  expect(await keysOf(store)).toEqual(["\ufffd.tar"]);
});

test.each([
  [
    "says nothing of how it goes on",
    page("", "x").replace("<NextContinuationToken>x</NextContinuationToken>", ""),
  ],
  ["has no end", page(object("team+a/v/one"), "again")],
  ["does not say whether it is whole", page("", null).replace("<IsTruncated>false</IsTruncated>", "")],
  ["has an object without size", page("<Contents><Key>team+a/v/x</Key><ETag>e</ETag></Contents>", null)],
  ["is cut off", page(object("team+a/v/one"), null).slice(0, -9)],
  ["has a key that is no Unicode at all", page(object("team+a/v/&#xD800;"), null)],
  ...["-5", "1.5", "NaN", "9007199254740993"].map((size): [string, string] => [
    `has an object of ${size} bytes`,
    page(object("team+a/v/one").replace("<Size>1", `<Size>${size}`), null),
  ]),
])("a listing that %s is a failure, never taken for the whole", async (_what, text) => {
  await using store = await fakeStore((_request, response) => void response.writeHead(200).end(text), {
    settings: { prefix: "team a/v" },
  });
  expect(await failureOf(collect(store.vault.list("")))).toMatchObject({
    code: "VAULT_UNREACHABLE",
    details: { reason: "odd answer" },
  });
});

test("uploads are listed over all pages, with their time", async () => {
  const upload = (key: string, id: string) =>
    `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>2026-11-21T17:00:00.000Z</Initiated></Upload>`;
  const uploads = (content: string, next: string) =>
    `<ListMultipartUploadsResult><EncodingType>url</EncodingType>${next}${content}</ListMultipartUploadsResult>`;
  await using store = await pages(
    uploads(
      upload("team+a/v/a+b", "1"),
      "<IsTruncated>true</IsTruncated><NextKeyMarker>team+a/v/a+b</NextKeyMarker><NextUploadIdMarker>1</NextUploadIdMarker>",
    ),
    uploads(upload("team+a/v/a+b", "2") + upload("elsewhere", "3"), "<IsTruncated>false</IsTruncated>"),
  );
  const begun = Date.parse("2026-11-21T17:00:00Z");
  expect(await collect(store.vault.listUploads(""))).toEqual([
    { key: "a b", uploadId: "1", begun },
    { key: "a b", uploadId: "2", begun },
  ]);
  const second = new URL(store.asked[1]?.slice(4) ?? "", "http://s").searchParams;
  expect([second.get("key-marker"), second.get("upload-id-marker")]).toEqual(["team a/v/a b", "1"]);
});

const CONTENTS = object("team+a/v/one");
const MARKERS = ["a", "b"];
test.each<[string, (vault: FakeStore["vault"]) => Promise<unknown>, (marker: string) => string]>([
  ["objects", ({ list }) => collect(list("")), (marker) => page(CONTENTS, marker)],
  [
    "uploads",
    ({ listUploads }) => collect(listUploads("")),
    (marker) =>
      `<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>team a/v/${marker}</NextKeyMarker><NextUploadIdMarker>1</NextUploadIdMarker></ListMultipartUploadsResult>`,
  ],
  [
    "parts",
    ({ listParts }) => listParts({ key: "x", uploadId: "u", size: 1, partSize: 1 }),
    (marker) =>
      `<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>${marker}</NextPartNumberMarker></ListPartsResult>`,
  ],
])("a listing of %s that goes round in circles ends", async (_what, list, text) => {
  let asked = 0;
  await using store = await fakeStore(
    (_request, response) => {
      // Else a listing that never ends would never fail.
      if (asked === 20) return void refuse(response, 400, "EnoughOfThat");
      response.writeHead(200).end(text(MARKERS[asked++ % 2] ?? ""));
    },
    { settings: { prefix: "team a/v" } },
  );
  expect(await failureOf(list(store.vault))).toMatchObject({
    code: "VAULT_UNREACHABLE",
    details: { reason: "odd answer" },
  });
});

const partXml = (number: number, size = "1") =>
  `<Part><PartNumber>${number}</PartNumber><ETag>"e"</ETag><Size>${size}</Size></Part>`;
test.each([
  ["that are told twice", partXml(1) + partXml(1)],
  ["out of their order", partXml(2) + partXml(1)],
  ["with a number that S3 does not give", partXml(10_001)],
  ["of a size that is none", partXml(1, "-1")],
])("parts %s are no listing of parts", async (_what, parts) => {
  await using store = await pages(
    `<ListPartsResult><IsTruncated>false</IsTruncated>${parts}</ListPartsResult>`,
  );
  expect(
    await failureOf(store.vault.listParts({ key: "x", uploadId: "u", size: 1, partSize: 1 })),
  ).toMatchObject({ code: "VAULT_UNREACHABLE", details: { reason: "odd answer" } });
});
