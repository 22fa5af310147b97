import { isUtf8 } from "node:buffer";
import type { Finding } from "../../src-contract/findings.ts";
import { fail } from "../failing.ts";
import { escapeName } from "./folder-source.ts";
import { Inventory } from "./inventory.ts";
import { bagFinding } from "./rules.ts";
import { normalisePath, unsafePathReason } from "./safe-path.ts";

/** Far above any real package, and few enough to hold in memory. */
const MAX_ENTRIES = 5_000_000;
/** PATH_MAX of Linux, 4,096 bytes, holds no more. Each level of each entry is looked up, so a few names of many levels would keep a verifier busy for ever. */
const MAX_LEVELS = 2048;

export function unsafeArchive(archive: string, what: string, entry?: string): Error {
  return fail(
    "ARCHIVE_UNSAFE",
    `${archive} ${what}.`,
    "Do not unpack it; ask the sender for a sound archive.",
    {
      subject: archive,
      ...(entry === undefined ? {} : { details: { entry } }),
    },
  );
}

/**
 * The text of an entry's name, or null (and a finding) when it is not valid UTF-8.
 * Throws ARCHIVE_UNSAFE for a name that could be written outside the folder that the archive is unpacked to.
 */
export function entryPath(archive: string, name: Uint8Array, findings: Finding[]): string | null {
  const bytes = Buffer.from(name);
  if (!isUtf8(bytes)) {
    const lossy = bytes.toString("latin1");
    const reason = unsafePathReason(lossy);
    if (reason !== null) throw unsafeArchive(archive, `holds an entry whose name ${reason}`, lossy);
    findings.push(bagFinding("NAME_NOT_UNICODE", { path: escapeName(bytes) }));
    return null;
  }
  const text = bytes.toString("utf8");
  const reason = unsafePathReason(text);
  if (reason !== null) {
    throw unsafeArchive(archive, `holds an entry whose name ${reason}: ${JSON.stringify(text)}`, text);
  }
  const path = normalisePath(text);
  if (path.split("/", MAX_LEVELS + 1).length > MAX_LEVELS) {
    throw unsafeArchive(archive, `holds an entry below more than ${MAX_LEVELS} folders`, path.slice(0, 1000));
  }
  return path;
}

/** The bag within an archive: its files relative to the bag's base folder. */
export interface ListedBag {
  readonly bagName: string;
  readonly inventory: Inventory;
  readonly hasPayloadFolder: boolean;
  /** Number of the file that an entry's path stands for, or undefined when it is no file of the bag. */
  find(path: string): number | undefined;
}

interface Group {
  readonly inventory: Inventory;
  readonly folders: Set<string>;
}

/** Gathers the entries of an archive by top folder, and refuses what two readers could understand differently. */
export class ArchiveListing {
  readonly #archive: string;
  readonly #findings: Finding[];
  readonly #groups = new Map<string, Group>();
  #entries = 0;

  constructor(archive: string, findings: Finding[]) {
    this.#archive = archive;
    this.#findings = findings;
  }

  /** Throws ARCHIVE_UNSAFE for a second file of the same path, and for too many entries. */
  addFile(path: string, size: number, place: number): void {
    this.#count();
    const [group, rest] = this.#place(path, false);
    if (group.inventory.find(rest) !== undefined || group.folders.has(rest)) {
      throw unsafeArchive(this.#archive, `holds two entries named ${JSON.stringify(path)}`, path);
    }
    group.inventory.add(rest, size, place);
  }

  /** A folder may be given any number of times. Throws ARCHIVE_UNSAFE when it is a file, too. */
  addFolder(path: string): void {
    this.#count();
    if (path === "") return;
    const [group, rest] = this.#place(path, true);
    if (group.inventory.find(rest) !== undefined) {
      throw unsafeArchive(this.#archive, `holds ${JSON.stringify(path)} as a file and as a folder`, path);
    }
    group.folders.add(rest);
  }

  #count(): void {
    this.#entries += 1;
    if (this.#entries > MAX_ENTRIES) {
      throw unsafeArchive(this.#archive, `holds more than ${MAX_ENTRIES} entries`);
    }
  }

  #place(path: string, isFolder: boolean): [Group, string] {
    const slash = path.indexOf("/");
    const top = slash === -1 ? (isFolder ? path : "") : path.slice(0, slash);
    let group = this.#groups.get(top);
    if (group === undefined) {
      group = { inventory: new Inventory(), folders: new Set() };
      this.#groups.set(top, group);
    }
    return [group, slash === -1 ? (isFolder ? "" : path) : path.slice(slash + 1)];
  }

  /** Chooses the bag's folder: the first that holds bagit.txt, else the first of all. What lies beside it is a finding (RFC 8493, section 4). */
  finish(): ListedBag {
    this.#refuseFilesAsFolders();
    const loose = this.#groups.get("");
    if (loose?.inventory.find("bagit.txt") !== undefined) return this.#withoutTop();
    const tops = [...this.#groups.keys()].filter((top) => top !== "");
    const chosen =
      tops.find((top) => this.#groups.get(top)?.inventory.find("bagit.txt") !== undefined) ?? tops[0];
    if (chosen === undefined) return this.#withoutTop();
    const { inventory, folders } = this.#groups.get(chosen) as Group;
    for (const [top, group] of this.#groups) {
      if (top === chosen) continue;
      const path = top === "" ? group.inventory.path(0) : `${top}/`;
      this.#findings.push(bagFinding("ARCHIVE_SECOND_TOP_FOLDER", { path, detail: `the bag is ${chosen}/` }));
    }
    const prefix = `${chosen}/`;
    return {
      bagName: chosen,
      inventory,
      hasPayloadFolder: hasPayload(inventory, folders),
      find: (path) => (path.startsWith(prefix) ? inventory.find(path.slice(prefix.length)) : undefined),
    };
  }

  /** The whole archive is taken as the bag. */
  #withoutTop(): ListedBag {
    this.#findings.push(bagFinding("ARCHIVE_NO_TOP_FOLDER"));
    const inventory = new Inventory();
    const folders = new Set<string>();
    for (const [top, group] of this.#groups) {
      const prefix = top === "" ? "" : `${top}/`;
      if (top !== "") folders.add(top);
      for (let file = 0; file < group.inventory.count; file += 1) {
        inventory.add(
          prefix + group.inventory.path(file),
          group.inventory.size(file),
          group.inventory.place(file),
        );
      }
    }
    return {
      bagName: "",
      inventory,
      hasPayloadFolder: hasPayload(inventory, folders),
      find: (path) => inventory.find(path),
    };
  }

  /** `a` and `a/b` cannot both be unpacked; each system would keep another one. */
  #refuseFilesAsFolders(): void {
    const loose = this.#groups.get("")?.inventory;
    for (const [top, { inventory }] of this.#groups) {
      const sound = new Set<string>();
      if (top !== "" && loose?.find(top) !== undefined) {
        throw unsafeArchive(this.#archive, `holds ${JSON.stringify(top)} as a file and as a folder`, top);
      }
      for (let file = 0; file < inventory.count; file += 1) {
        const path = inventory.path(file);
        for (let slash = path.lastIndexOf("/"); slash > 0; slash = path.lastIndexOf("/", slash - 1)) {
          const folder = path.slice(0, slash);
          if (sound.has(folder)) break;
          if (inventory.find(folder) !== undefined) {
            throw unsafeArchive(this.#archive, `holds ${JSON.stringify(path)} below a file`, path);
          }
          sound.add(folder);
        }
      }
    }
  }
}

function hasPayload(inventory: Inventory, folders: ReadonlySet<string>): boolean {
  if (folders.has("data") || [...folders].some((folder) => folder.startsWith("data/"))) return true;
  for (let file = 0; file < inventory.count; file += 1) if (inventory.isPayload(file)) return true;
  return false;
}
