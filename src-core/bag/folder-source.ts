import { isUtf8 } from "node:buffer";
import { constants, type Dirent, lstatSync, readdirSync } from "node:fs";
import { open } from "node:fs/promises";
import { basename, join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { Finding } from "../../src-contract/findings.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import { createHashPool } from "../digest/hash-pool.ts";
import { asFailure, systemCode, throwIfCancelled } from "../failing.ts";
import { digestInPool } from "./digest-in-pool.ts";
import { type BagSource, Inventory } from "./inventory.ts";
import { countProgress } from "./report-progress.ts";
import { bagFinding } from "./rules.ts";

/** The walk gives way to other work this often: synchronous calls list a million files ten times as fast as promises do. */
const SLICE_MS = 10;
const CHUNK = 64 * 1024;
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** A bag that lies in a folder. Symbolic links are never followed. Throws when the folder itself cannot be listed. */
export async function openFolderSource(folder: string, options: CallOptions): Promise<BagSource> {
  const inventory = new Inventory();
  const findings: Finding[] = [];
  const hasPayloadFolder = await walk(folder, inventory, findings, options);
  const pool = createHashPool();
  return {
    form: "folder",
    bagName: basename(folder),
    inventory,
    hasPayloadFolder,
    findings,
    readText: (file) => readRegular(join(folder, inventory.path(file))),
    digest: (work, digestOptions) =>
      digestInPool(
        pool,
        inventory,
        work,
        (file) => ({
          path: `${folder}/${inventory.path(file)}`,
          offset: 0,
          length: null,
          sizeHint: inventory.size(file),
        }),
        digestOptions,
      ),
    close: () => pool.close(),
  };
}

/** Lists all files with lstat. Returns whether there is a folder data/. */
async function walk(
  root: string,
  inventory: Inventory,
  findings: Finding[],
  options: CallOptions,
): Promise<boolean> {
  const progress = countProgress("walk", "files", undefined, options);
  let hasPayloadFolder = false;
  let pause = performance.now() + SLICE_MS;
  const folders = [""];
  for (let prefix = folders.pop(); prefix !== undefined; prefix = folders.pop()) {
    for (const entry of list(root, prefix, inventory, findings)) {
      if (performance.now() > pause) {
        await setImmediate();
        throwIfCancelled(options.signal);
        pause = performance.now() + SLICE_MS;
      }
      const path = prefix + entry.name;
      if (entry.isDirectory()) {
        folders.push(`${path}/`);
        if (path === "data") hasPayloadFolder = true;
      } else if (entry.isSymbolicLink()) findings.push(bagFinding("SYMLINK", { path }));
      else if (!entry.isFile()) findings.push(bagFinding("SPECIAL_FILE", { path }));
      else {
        addFile(root, path, inventory, findings);
        progress.add(1);
      }
    }
  }
  progress.finish();
  return hasPayloadFolder;
}

function addFile(root: string, path: string, inventory: Inventory, findings: Finding[]): void {
  try {
    inventory.add(path, lstatSync(`${root}/${path}`).size);
  } catch (error) {
    findings.push(bagFinding("FILE_UNREADABLE", { path, detail: systemCode(error) ?? String(error) }));
  }
}

/** The entries of a folder whose names are valid UTF-8; others are findings. */
function list(root: string, prefix: string, inventory: Inventory, findings: Finding[]): Dirent[] {
  const folder = `${root}/${prefix}`;
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    if (!entries.some((entry) => entry.name.includes("\ufffd"))) return entries;
    const raw = readdirSync(folder, { encoding: "buffer" });
    const broken = raw.filter((name) => !isUtf8(name));
    for (const name of broken) {
      findings.push(bagFinding("NAME_NOT_UNICODE", { path: prefix + escapeName(name) }));
    }
    const lossy = new Set(broken.map((name) => name.toString("utf8")));
    return entries.filter((entry) => !lossy.has(entry.name));
  } catch (error) {
    if (prefix === "") throw asFailure(error, root);
    inventory.addUnreadFolder(prefix.slice(0, -1));
    findings.push(
      bagFinding("FILE_UNREADABLE", {
        path: prefix.slice(0, -1),
        detail: systemCode(error) ?? String(error),
      }),
    );
    return [];
  }
}

/** A name that is not valid UTF-8, for a person: bytes beyond ASCII as `\xNN`. */
export function escapeName(name: Uint8Array): string {
  return Array.from(name, (byte) =>
    byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`,
  ).join("");
}

async function* readRegular(path: string): AsyncGenerator<Uint8Array> {
  const handle = await open(path, OPEN_FLAGS);
  try {
    for (let position = 0; ; ) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK), 0, CHUNK, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}
