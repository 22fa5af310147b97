import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Finished } from "./run-cli.ts";

/** A piece this long does not stand anywhere by chance. */
const PIECE = 20;

/** Base64 of bytes wherever they stand in what was encoded: the characters that depend on nothing else, for each of three places. */
function base64Cores(bytes: Buffer): readonly string[] {
  return [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString("base64");
    const whole = Math.floor((before + bytes.length) / 3) * 4;
    return text.slice(before === 0 ? 0 : 4, whole);
  });
}

/** All forms in which a text is looked for: as it is, URL-encoded, in JSON, base64 (of either alphabet), hex, UTF-16. */
function formsOf(text: string): readonly Buffer[] {
  const bytes = Buffer.from(text);
  const base64 = base64Cores(bytes);
  const url = base64.map((core) => core.replaceAll("+", "-").replaceAll("/", "_"));
  const hex = bytes.toString("hex");
  const encoded = encodeURIComponent(text);
  const forms = [
    ...[text, encoded, encoded.replace(/%../g, (code) => code.toLowerCase()), text.replaceAll("/", "\\/")],
    ...[...base64, ...url, hex, hex.toUpperCase()],
  ];
  return [...[...new Set(forms)].map((form) => Buffer.from(form)), Buffer.from(text, "utf16le")];
}

/** Looks for secrets in bytes: whole, and of each its beginning, middle and end, should pages of a database have cut it. */
export class SecretSearch {
  readonly #needles: readonly { readonly name: string; readonly form: Buffer }[];

  constructor(secrets: Readonly<Record<string, string>>) {
    this.#needles = Object.entries(secrets).flatMap(([name, secret]) => {
      const last = Math.max(0, secret.length - PIECE);
      const pieces = [0, Math.floor(last / 2), last].map((at) => secret.slice(at, at + PIECE));
      return [...new Set(pieces)].flatMap(formsOf).map((form) => ({ name, form }));
    });
  }

  /** Names of the secrets that are in there. */
  in(bytes: Buffer): readonly string[] {
    return [...new Set(this.#needles.filter(({ form }) => bytes.includes(form)).map(({ name }) => name))];
  }
}

/** The content of files, by path, as often as they change: the change time moves with every write. */
export class ChangedFiles {
  readonly #seen = new Map<string, string>();

  /** Those below a folder that are new, or other than when this was last asked. */
  async below(folder: string): Promise<ReadonlyMap<string, Buffer>> {
    const found = new Map<string, Buffer>();
    for (const file of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (!file.isFile()) continue;
      const path = join(file.parentPath, file.name);
      const { ino, size, ctimeNs } = await stat(path, { bigint: true });
      const state = `${ino} ${size} ${ctimeNs}`;
      if (this.#seen.get(path) === state) continue;
      this.#seen.set(path, state);
      found.set(path, await readFile(path));
    }
    return found;
  }
}

/** What everyone may read of a process. */
export interface PublicFace {
  readonly commandLine: string;
  readonly environment: string;
}

export interface Watched extends Finished {
  /** By process id. */
  readonly processes: ReadonlyMap<string, PublicFace>;
}

/** Runs a program and writes down, as often as it can, what can be read of each process that works on this state folder; by process id. */
export async function watched(
  home: string,
  run: (onStart: () => Promise<void>) => Promise<Finished>,
): Promise<Watched> {
  const processes = new Map<string, PublicFace>();
  let running = true;
  const finished = await run(async () => {
    while (running) {
      for (const [id, face] of await facesOf(home)) {
        const before = processes.get(id);
        processes.set(id, {
          commandLine: `${before?.commandLine ?? ""}${face.commandLine}`,
          environment: face.environment,
        });
      }
      await sleep(10);
    }
  }).finally(() => {
    running = false;
  });
  return { ...finished, processes };
}

/** Of every process that works on this state folder, by its id. */
export async function facesOf(home: string): Promise<ReadonlyMap<string, PublicFace>> {
  const found = new Map<string, PublicFace>();
  for (const id of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    // A process that has ended meanwhile shows nothing.
    const text = async (file: string) => readFile(`/proc/${id}/${file}`, "latin1").catch(() => "");
    const environment = await text("environ");
    if (environment.includes(`STRONGROOM_HOME=${home}\0`))
      found.set(id, { commandLine: await text("cmdline"), environment });
  }
  return found;
}
