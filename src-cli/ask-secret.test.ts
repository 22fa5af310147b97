import { expect, test } from "vitest";
import { terminal } from "./ask-fixtures.ts";
import { askSecret, NO_TERMINAL_FOR_PASSPHRASE } from "./ask-secret.ts";

const askPassphrase = (at: ReturnType<typeof terminal>) =>
  askSecret("Passphrase: ", at, NO_TERMINAL_FOR_PASSPHRASE);

test("takes what is typed up to Enter, with corrections, and shows none of it", async () => {
  const at = terminal(true);
  const asked = askPassphrase(at);
  at.input.emit("data", "wrong\u0015sec");
  at.input.emit("data", "x\u007fret🔑\u007f\r");
  expect(await asked).toEqual({ ok: true, value: "secret" });
  expect(at.shown()).toBe("Passphrase: \n");
  expect(at.modes).toEqual([true, false]);
});

test.each([
  ["Ctrl-C", (at: ReturnType<typeof terminal>) => at.input.emit("data", "sec\u0003")],
  ["a signal from outside", (at: ReturnType<typeof terminal>) => at.stop()],
  ["a terminal that goes away", (at: ReturnType<typeof terminal>) => at.input.emit("end")],
])("%s is a cancellation, and the terminal is as it was", async (_, stop) => {
  const at = terminal(true);
  const asked = askPassphrase(at);
  stop(at);
  expect(await asked).toMatchObject({ ok: false, failure: { code: "CANCELLED" } });
  expect(at.modes).toEqual([true, false]);
  expect(at.input.eventNames()).toEqual([]);
});

test("without a terminal it says what to do", async () => {
  expect(await askPassphrase(terminal(false))).toMatchObject({
    ok: false,
    failure: { code: "KEY_UNUSABLE", nextStep: expect.stringContaining("STRONGROOM_KEY_PASSPHRASE") },
  });
});
