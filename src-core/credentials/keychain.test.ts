import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setInterval } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FailureError } from "../failing.ts";
import { createKeychain } from "./keychain.ts";

const SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY";

async function failureOf(work: Promise<unknown>) {
  const error: unknown = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof FailureError)) throw new Error(`should have been a Failure: ${String(error)}`);
  return error.failure;
}

/** Processes that this one started and that run still, by their command line. */
function childrenRunning(script: string): number {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const parent = /\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1];
        return (
          parent === String(process.pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(script)
        );
      } catch {
        return false;
      }
    }).length;
}

describe.runIf(process.platform === "linux")("without a keychain", () => {
  const {
    DBUS_SESSION_BUS_ADDRESS: _bus,
    XDG_RUNTIME_DIR: _runtime,
    DISPLAY: _display,
    ...bare
  } = process.env;
  const folder = mkdtempSync(join(tmpdir(), "strongroom-bus-"));
  const socket = join(folder, "bus");
  /** A bus that takes connections and never answers. */
  const silent = createServer(() => undefined);
  const hanging = { ...bare, DBUS_SESSION_BUS_ADDRESS: `unix:path=${socket}` };

  beforeAll(async () => {
    await new Promise<void>((resolve) => {
      silent.listen(socket, resolve);
    });
  });
  afterAll(() => {
    silent.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each(["get", "set", "delete"] as const)(
    "%s without a D-Bus session says what is missing and what to do",
    async (kind) => {
      const keychain = createKeychain({ env: bare });
      const failure = await failureOf(
        kind === "set" ? keychain.set("vault/a", SECRET) : keychain[kind]("vault/a"),
      );
      expect(failure.code).toBe("KEYCHAIN_UNAVAILABLE");
      expect(failure.message).toContain("no D-Bus session");
      expect(failure.nextStep).toContain("--credentials env or --credentials profile:NAME");
      expect(JSON.stringify(failure)).not.toContain(SECRET);
    },
  );

  test("a bus whose socket is gone is no D-Bus session either", async () => {
    const env = { ...bare, DBUS_SESSION_BUS_ADDRESS: "unix:path=/nonexistent/bus" };
    expect((await failureOf(createKeychain({ env }).get("vault/a"))).message).toContain("no D-Bus session");
  });

  test("a bus that never answers: this process goes on working, and is told at the deadline; nothing is left running", async () => {
    const asked = failureOf(createKeychain({ env: hanging, deadlineMs: 1500 }).set("vault/a", SECRET));
    let failure: Awaited<typeof asked> | undefined;
    void asked.then((found) => {
      failure = found;
    });
    let beats = 0;
    for await (const _ of setInterval(25)) {
      if (failure !== undefined) break;
      beats++;
    }
    expect(beats).toBeGreaterThan(2);
    expect(failure?.code).toBe("KEYCHAIN_UNAVAILABLE");
    expect(failure?.message).toContain("did not answer within 1.5 seconds");
    expect(JSON.stringify(failure)).not.toContain(SECRET);
    await expect.poll(() => childrenRunning("keychain-process")).toBe(0);
  });

  test("the user can stop a call that waits", async () => {
    const stop = new AbortController();
    const asked = failureOf(createKeychain({ env: hanging }).get("vault/a", stop.signal));
    await expect.poll(() => childrenRunning("keychain-process")).toBe(1);
    stop.abort();
    expect((await asked).code).toBe("CANCELLED");
    await expect.poll(() => childrenRunning("keychain-process")).toBe(0);
    expect((await failureOf(createKeychain({ env: hanging }).get("vault/a", stop.signal))).code).toBe(
      "CANCELLED",
    );
  });

  test("a native module that cannot be loaded is said to be that", async () => {
    const env = { ...bare, NAPI_RS_NATIVE_LIBRARY_PATH: "/nonexistent/keyring.node" };
    const failure = await failureOf(createKeychain({ env }).get("vault/a"));
    expect(failure.code).toBe("KEYCHAIN_UNAVAILABLE");
    expect(failure.message).toContain(`module for linux-${process.arch} cannot be loaded`);
    expect(failure.nextStep).toContain("npm ci");
  });

  test("a process that cannot run is not waited for", async () => {
    const env = { ...bare, NODE_OPTIONS: "--no-such-option" };
    const failure = await failureOf(createKeychain({ env }).get("vault/a"));
    expect(failure.code).toBe("KEYCHAIN_UNAVAILABLE");
    expect(failure.message).toContain("ended without an answer (exit code 9)");
  });
});
