import { describe, expect, test } from "vitest";
import { terminal } from "./ask-fixtures.ts";
import { askStoreSecret } from "./ask-store-secret.ts";

describe("a store's secret", () => {
  const KEY = { accessKeyId: "AKIA1", sessionToken: false };

  test("is asked for on the terminal, and a session token where it is wanted", async () => {
    const at = terminal(true);
    const asked = askStoreSecret({ ...KEY, sessionToken: true }, at);
    at.input.emit("data", "secret\r");
    await new Promise(setImmediate);
    at.input.emit("data", "token\r");
    expect(await asked).toEqual({ ok: true, value: { secretAccessKey: "secret", sessionToken: "token" } });
    expect(at.shown()).toBe("Secret access key of AKIA1: \nSession token: \n");
  });

  async function piped(text: string, wanted = KEY) {
    const at = terminal(false);
    const asked = askStoreSecret(wanted, at);
    for (const half of [text.slice(0, 3), text.slice(3)]) at.input.emit("data", half);
    at.input.emit("end");
    const outcome = await asked;
    expect(at.shown()).toBe("");
    return outcome;
  }

  test.each([
    ["one line", "s3cr/et+=", { secretAccessKey: "s3cr/et+=" }],
    ["one line and its end", "secret\r\n", { secretAccessKey: "secret" }],
    ["two lines", "secret\ntoken==\n\n", { secretAccessKey: "secret", sessionToken: "token==" }],
    [
      "two lines as Windows writes them",
      "\ufeffsecret\r\ntoken\r\n",
      { secretAccessKey: "secret", sessionToken: "token" },
    ],
  ])("comes from standard input: %s", async (_, text, value) => {
    expect(await piped(text)).toEqual({ ok: true, value });
  });

  test.each([
    ["nothing", "", KEY, "No secret access key"],
    ["blank lines", "\r\n\n", KEY, "No secret access key"],
    ["an empty first line", "\ntoken", KEY, "No secret access key"],
    ["a third line", "secret\ntoken\nmore", KEY, "more than two lines"],
    ["bytes that no store issues", "se\0cret", KEY, "control characters"],
    ["a whole file", "x".repeat(200_000), KEY, "too many"],
    ["no token where one is wanted", "secret\n", { ...KEY, sessionToken: true }, "No session token"],
  ])("is refused: %s", async (_, text, wanted, why) => {
    const outcome = await piped(text, wanted);
    expect(outcome).toMatchObject({
      ok: false,
      failure: { code: "INVALID_INPUT", message: expect.stringContaining(why) },
    });
    expect(JSON.stringify(outcome)).not.toContain("cret\\");
  });

  test("an input on which nobody writes is given up", async () => {
    expect(await askStoreSecret(KEY, terminal(false), 1)).toMatchObject({
      ok: false,
      failure: { code: "INVALID_INPUT", message: "No secret access key was given." },
    });
  });

  test("an input that cannot be read is a failure, not a secret cut short", async () => {
    const at = terminal(false);
    const asked = askStoreSecret(KEY, at);
    at.input.emit("data", "sec");
    at.input.emit("error", new Error("EISDIR"));
    expect(await asked).toMatchObject({ ok: false, failure: { message: expect.stringContaining("EISDIR") } });
  });

  test("waiting for input ends with a signal", async () => {
    const at = terminal(false);
    const asked = askStoreSecret(KEY, at);
    at.stop();
    expect(await asked).toMatchObject({ ok: false, failure: { code: "CANCELLED" } });
  });
});
