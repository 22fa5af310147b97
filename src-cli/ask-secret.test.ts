import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { askSecret, type SecretInput } from "./ask-secret.ts";

function terminal(isTTY: boolean) {
  const modes: boolean[] = [];
  const input = Object.assign(new EventEmitter(), {
    isTTY,
    setRawMode: (raw: boolean) => modes.push(raw),
    setEncoding: () => undefined,
    resume: () => undefined,
    pause: () => undefined,
  }) satisfies SecretInput;
  let shown = "";
  const prompt = {
    write(text: string) {
      shown += text;
      return true;
    },
  };
  return { input, prompt, modes, shown: () => shown };
}

test("takes what is typed up to Enter, with corrections, and shows none of it", async () => {
  const { input, prompt, modes, shown } = terminal(true);
  const asked = askSecret("Passphrase: ", { input, prompt });
  input.emit("data", "wrong\u0015sec");
  input.emit("data", "x\u007fret🔑\u007f\r");
  expect(await asked).toEqual({ ok: true, value: "secret" });
  expect(shown()).toBe("Passphrase: \n");
  expect(modes).toEqual([true, false]);
});

test("Ctrl-C is a cancellation, and the terminal is as it was", async () => {
  const { input, prompt, modes } = terminal(true);
  const asked = askSecret("Passphrase: ", { input, prompt });
  input.emit("data", "sec\u0003");
  expect(await asked).toMatchObject({ ok: false, failure: { code: "CANCELLED" } });
  expect(modes).toEqual([true, false]);
});

test("without a terminal it says what to do", async () => {
  const { input, prompt } = terminal(false);
  expect(await askSecret("Passphrase: ", { input, prompt })).toMatchObject({
    ok: false,
    failure: { code: "KEY_UNUSABLE", nextStep: expect.stringContaining("STRONGROOM_KEY_PASSPHRASE") },
  });
});
