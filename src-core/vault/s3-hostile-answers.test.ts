import { pipeline } from "node:stream/promises";
import { describe, expect, test } from "vitest";
import { fakeStore, refuse } from "./fake-store-fixtures.ts";
import { collect, failureOf } from "./vault-fixtures.ts";

test.each([200, 400])(
  "a body without an end (status %i) is given up before it fills the memory",
  async (status) => {
    const MIB = 1024 ** 2;
    let sent = 0;
    async function* endless() {
      yield "<ListBucketResult>";
      for (const spaces = Buffer.alloc(MIB, " "); sent < 64 * MIB; sent += MIB) yield spaces;
      yield "<IsTruncated>false</IsTruncated></ListBucketResult>";
    }
    await using store = await fakeStore(async (_request, response) => {
      response.writeHead(status, { "content-type": "application/xml" });
      // The client goes away.
      await pipeline(endless, response).catch(() => undefined);
    });
    expect(await failureOf(collect(store.vault.list("")))).toMatchObject({
      code: "VAULT_UNREACHABLE",
      details: { reason: "odd answer" },
    });
    expect(sent).toBeLessThan(64 * MIB);
  },
);

describe("what a store says at length is cut off in the failure", () => {
  const long = "word ".repeat(50_000);
  const name = "X".repeat(50_000);
  test.each<[string, number, string, string, string]>([
    ["its words", 400, "Foo", long, ""],
    ["its code", 400, name, "Words", ""],
    ["the code of an overload", 503, name, "Words", ""],
    ["a permission", 403, "AccessDenied", `not authorized to perform: s3:${name}`, ""],
    ["a region", 400, "AuthorizationHeaderMalformed", "Words", `<Region>${name}</Region>`],
    ["its time", 403, "RequestTimeTooSkewed", "Words", `<ServerTime>${name}</ServerTime>`],
  ])("%s", async (_what, status, code, message, xml) => {
    await using store = await fakeStore((request, response) => {
      request.resume();
      refuse(response, status, code, { message, xml });
    });
    const failure = await failureOf(store.vault.delete("a"));
    expect(failure.code).not.toBe("no failure");
    expect(JSON.stringify(failure).length).toBeLessThan(2000);
  });

  test("a region that is none is not put into a command", async () => {
    await using store = await fakeStore((request, response) => {
      request.resume();
      refuse(response, 400, "AuthorizationHeaderMalformed", { xml: "<Region>x; rm -rf ~</Region>" });
    });
    const failure = await failureOf(store.vault.delete("a"));
    expect(failure).toMatchObject({ code: "STORE_REFUSED" });
    expect(JSON.stringify(failure)).not.toContain("rm -rf");
  });
});
