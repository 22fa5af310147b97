/** For tests only: a D-Bus session of its own with a real GNOME Keyring in it, gone with the test. Needs Debian's dbus and gnome-keyring. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { removeAtEnd } from "../../e2e/support/daemon.ts";
import { missingPrograms } from "../../e2e/support/programs.ts";

const PASSWORD = "the keyring's password";
const LOGIN_KEYRING = "/org/freedesktop/secrets/collection/login";
const START_DEADLINE_MS = 20_000;

/** Nothing is started on demand: neither a second keyring nor a window that asks for its password. */
const busConfig = (
  folder: string,
) => `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:dir=${folder}</listen>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
`;

/**
 * Whether the tests with a keychain are to be left out: a program that they need is not installed (scripts/system-packages.ts says which package
 * has it). Where CI=true is set they are run all the same, and fail.
 */
export async function withoutKeychain(): Promise<boolean> {
  const missing = await missingPrograms(["dbus-daemon", "dbus-send", "gnome-keyring-daemon", "setpriv"]);
  if (missing.length === 0 || process.env.CI === "true") return false;
  process.stderr.write(`The tests with a keychain are not run: ${missing.join(", ")} not found.\n`);
  return true;
}

export class TestKeychain {
  /** State of the keyring; what is in it outlives a restart. */
  readonly folder = mkdtempSync(join(tmpdir(), "strongroom-keychain-"));
  env: NodeJS.ProcessEnv = {};
  readonly #remove = removeAtEnd(this.folder);
  #bus: ChildProcess | null = null;
  #keyring: ChildProcess | null = null;

  /** A bus with an unlocked keyring, a keyring that was given no or a wrong password, or none. */
  static async start(
    keyring: "unlocked" | "wrong password" | "no password" | "none" = "unlocked",
  ): Promise<TestKeychain> {
    const keychain = new TestKeychain();
    await keychain.start(keyring);
    return keychain;
  }

  /** Ends bus and keyring, as a logout does, and starts them anew. */
  async restart(keyring: "unlocked" | "wrong password" | "no password" = "unlocked"): Promise<void> {
    await this.#end();
    await this.start(keyring);
  }

  async start(keyring: "unlocked" | "wrong password" | "no password" | "none"): Promise<void> {
    const data = join(this.folder, "data");
    const runtime = join(this.folder, "run");
    mkdirSync(data, { recursive: true });
    mkdirSync(runtime, { recursive: true, mode: 0o700 });
    writeFileSync(join(this.folder, "bus.conf"), busConfig(runtime));
    const base = { PATH: process.env.PATH, HOME: this.folder, XDG_DATA_HOME: data, XDG_RUNTIME_DIR: runtime };
    const config = `--config-file=${join(this.folder, "bus.conf")}`;
    this.#bus = spawnTied(["dbus-daemon", config, "--nofork", "--print-address"], base);
    this.env = { ...base, DBUS_SESSION_BUS_ADDRESS: await firstLine(this.#bus) };
    if (keyring === "none") return;
    const unlock = keyring === "no password" ? [] : ["--unlock"];
    const command = ["gnome-keyring-daemon", "--foreground", "--components=secrets", ...unlock];
    this.#keyring = spawnTied(command, this.env);
    this.#keyring.stdout?.resume();
    this.#keyring.stdin?.end(keyring === "unlocked" ? PASSWORD : "another");
    await this.#untilThere();
  }

  /** Locks the keyring, as the desktop does when it has not been used for some time. */
  async lock(): Promise<void> {
    await this.#secrets("Lock", `array:objpath:${LOGIN_KEYRING}`);
  }

  /** How many entries of this program the keyring holds. */
  async entries(): Promise<number> {
    const found = await this.#secrets("SearchItems", "dict:string:string:service,Strongroom");
    return found.match(/object path/g)?.length ?? 0;
  }

  /** Lets the keyring take calls and answer none. */
  freeze(): void {
    this.#keyring?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#keyring?.kill("SIGCONT");
  }

  /** All bytes that the keyring keeps on disk. */
  bytesOnDisk(): Buffer {
    const files = readdirSync(join(this.folder, "data"), { recursive: true, withFileTypes: true });
    return Buffer.concat(
      files.filter((file) => file.isFile()).map((file) => readFileSync(join(file.parentPath, file.name))),
    );
  }

  async stop(): Promise<void> {
    await this.#end();
    await this.#remove();
  }

  async #end(): Promise<void> {
    await ended(this.#keyring);
    await ended(this.#bus);
  }

  #secrets(method: string, argument: string): Promise<string> {
    return this.#call(
      "org.freedesktop.secrets",
      "/org/freedesktop/secrets",
      `org.freedesktop.Secret.Service.${method}`,
      argument,
    );
  }

  async #call(to: string, path: string, method: string, argument: string): Promise<string> {
    const command = ["--session", "--print-reply", `--dest=${to}`, path, method, argument];
    return (await promisify(execFile)("dbus-send", command, { env: this.env })).stdout;
  }

  async #untilThere(): Promise<void> {
    const deadline = Date.now() + START_DEADLINE_MS;
    while (Date.now() < deadline) {
      const bus = "org.freedesktop.DBus";
      const answer = await this.#call(
        bus,
        "/org/freedesktop/DBus",
        `${bus}.NameHasOwner`,
        "string:org.freedesktop.secrets",
      );
      if (answer.includes("boolean true")) return;
      await sleep(20);
    }
    throw new Error("gnome-keyring-daemon did not start");
  }
}

/** Starts a program that the kernel kills when this process ends, however that happens (prctl(2), PR_SET_PDEATHSIG). */
function spawnTied(command: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  return spawn("setpriv", ["--pdeathsig", "KILL", ...command], { env, stdio: ["pipe", "pipe", "ignore"] });
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout?.setEncoding("utf8").on("data", (more: string) => {
      text += more;
      if (text.includes("\n")) resolve(text.slice(0, text.indexOf("\n")));
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`dbus-daemon ended with ${code}`)));
  });
}

async function ended(child: ChildProcess | null): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => {
    child.once("exit", resolve);
  });
  child.kill("SIGKILL");
  await exit;
}
