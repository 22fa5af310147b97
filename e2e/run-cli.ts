import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Failure } from "../src-contract/failure.ts";

/** The project's folder. */
export const ROOT = resolve(fileURLToPath(import.meta.url), "../..");
export const LAUNCHER = join(ROOT, "bin", "strongroom");

export interface Finished {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** What stands on standard input; without it there is nothing. */
  readonly input?: string;
  /** Root reads everything; with this it is held to permissions as any other user is (capabilities(7), CAP_DAC_OVERRIDE). */
  readonly obeyPermissions?: boolean;
  /** When it is taken to hang and is killed, milliseconds: below vitest's own limit unless that is raised too. */
  readonly timeout?: number;
  /** Called once the process was started, to send it signals. */
  readonly onStart?: (child: ChildProcess) => Promise<void>;
}

/** Runs a program to its end; nothing it does is thrown. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  return new Promise((done, refuse) => {
    const child = spawn(program, args, {
      cwd: options.cwd ?? ROOT,
      env: options.env ?? process.env,
      stdio: ["pipe", "pipe", "pipe"],
      // Below vitest's own limit, so that a program that hangs is not left behind.
      timeout: options.timeout ?? 50_000,
      killSignal: "SIGKILL",
    });
    let out = "";
    let err = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      err += text;
    });
    // A program that does not read it may be gone before it is written.
    child.stdin.on("error", () => undefined).end(options.input ?? "");
    child.on("error", refuse);
    child.on("close", (exitCode, signal) => done({ exitCode, signal, out, err }));
    options.onStart?.(child).catch(refuse);
  });
}

/** A state folder of its own, a folder for evidence, and the real program run on them. */
export class Desk {
  readonly folder: string;
  readonly home: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.home = join(folder, "home");
  }

  static async open(): Promise<Desk> {
    return new Desk(await mkdtemp(join(tmpdir(), "strongroom-e2e-")));
  }

  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  /** A path on this desk. */
  path(...parts: readonly string[]): string {
    return join(this.folder, ...parts);
  }

  /** Writes a file, folders included; answers with its path. */
  async write(path: string, content: string | Uint8Array): Promise<string> {
    const full = this.path(path);
    await mkdir(dirname(full), { recursive: true });
    await writeFile(full, content);
    return full;
  }

  /** Runs `strongroom` with these arguments in this desk's folder. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    const env = { ...process.env, STRONGROOM_HOME: this.home, ...options.env };
    const command =
      options.obeyPermissions === true && process.getuid?.() === 0
        ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search", LAUNCHER, ...args]
        : [LAUNCHER, ...args];
    const [program = LAUNCHER, ...rest] = command;
    return await runProgram(program, rest, { cwd: this.folder, ...options, env });
  }

  /** Runs a command that must succeed; answers with its JSON value. */
  async value(...args: readonly string[]): Promise<Record<string, unknown>> {
    const finished = await this.run([...args, "--json"]);
    const answer: unknown = JSON.parse(finished.out);
    if (Reflect.get(Object(answer), "ok") !== true) throw new Error(`${args.join(" ")}: ${finished.out}`);
    return Object(Reflect.get(Object(answer), "value"));
  }

  /** Runs a command that must fail with exit code 2; answers with the failure. */
  async failure(...args: readonly string[]): Promise<Failure> {
    const finished = await this.run([...args, "--json"]);
    const answer: unknown = JSON.parse(finished.out);
    if (finished.exitCode !== 2 || Reflect.get(Object(answer), "ok") !== false) {
      throw new Error(`${args.join(" ")} ended with ${finished.exitCode}: ${finished.out}`);
    }
    return Reflect.get(Object(answer), "failure");
  }

  /** Makes an engagement whose vault is a folder of this desk. */
  async engage(engagement = "acme-2026"): Promise<string> {
    await mkdir(this.path("vault"), { recursive: true });
    await this.value("vault", "add", "folder", "office", "--path", this.path("vault"));
    await this.value("engagement", "create", engagement, "--vault", "office");
    return engagement;
  }

  /** Seals paths and answers with the package's id. */
  async build(engagement: string, name: string, ...paths: readonly string[]): Promise<string> {
    const built = await this.run(["package", "build", engagement, ...paths, "--name", name, "--quiet"]);
    if (built.exitCode !== 0) throw new Error(`build ended with ${built.exitCode}: ${built.err}`);
    return built.out.trim();
  }
}
