import { type ChildProcess, spawn } from "node:child_process";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";

/** How long a daemon may take until it answers before the start is given up; one second is usual. */
export const START_DEADLINE_MS = 180_000;

/** Asks again until `answer` is not undefined, at most until the deadline. */
export async function waitFor<T>(what: string, answer: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + START_DEADLINE_MS;
  while (Date.now() < deadline) {
    const found = await answer();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what} did not answer within ${START_DEADLINE_MS / 1000} s`);
}

/** A program that runs until it is stopped. */
export class Daemon {
  readonly #name: string;
  readonly #outFile: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;

  private constructor(name: string, outFile: string, child: ChildProcess) {
    this.#name = name;
    this.#outFile = outFile;
    this.#child = child;
    this.#ended = new Promise((resolve) => child.once("exit", () => resolve()));
  }

  /**
   * Starts `program` in the foreground. The kernel kills it when the process that started it dies, however that
   * happens (prctl(2), PR_SET_PDEATHSIG).
   */
  static async start(
    folder: string,
    name: string,
    program: string,
    args: readonly string[],
  ): Promise<Daemon> {
    const outFile = join(folder, "log", `${name}.out`);
    const out = await open(outFile, "a", 0o600);
    try {
      const child = spawn("setpriv", ["--pdeathsig", "KILL", program, ...args], {
        stdio: ["ignore", out.fd, out.fd],
      });
      await new Promise<void>((resolve, reject) => {
        child.once("spawn", resolve);
        child.once("error", reject);
      });
      return new Daemon(name, outFile, child);
    } finally {
      await out.close();
    }
  }

  /** Throws with what the daemon said if it is no longer there. */
  async assertAlive(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) return;
    const said = (await readFile(this.#outFile, "utf8")).slice(-2000);
    throw new Error(`${this.#name} ended (${this.#child.exitCode ?? this.#child.signalCode}): ${said}`);
  }

  /** Kills it and waits until it is gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.#ended;
  }

  /** Asks it to end, kills it after five seconds, and waits until it is gone. */
  async end(): Promise<void> {
    this.#child.kill("SIGTERM");
    const patience = setTimeout(() => this.#child.kill("SIGKILL"), 5000);
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.#ended;
    clearTimeout(patience);
  }
}

/** Removes the folder when this process ends or the answered function is called, whichever is first. */
export function removeAtEnd(folder: string): () => Promise<void> {
  const script = 'cat >/dev/null; rm -rf -- "$1" 2>/dev/null || { sleep 1; rm -rf -- "$1"; }';
  const keeper = spawn("sh", ["-c", script, "sh", folder], {
    stdio: ["pipe", "ignore", "inherit"],
    detached: true,
  });
  const gone = new Promise<void>((resolve) => keeper.once("exit", () => resolve()));
  keeper.unref();
  return async () => {
    keeper.ref();
    keeper.stdin?.end();
    await gone;
  };
}
