import { accessSync, type BigIntStats, constants, type Dirent, lstatSync, readdirSync } from "node:fs";
import { basename, dirname, sep } from "node:path";
import type { Omission } from "../../src-contract/manifest.ts";
import { asFailure, systemCode } from "../failing.ts";
import { isWithin } from "../is-within.ts";
import { acceptSource, specialKind } from "./accept-source.ts";
import { isLitter, PreflightFindings, reportNames } from "./name-rules.ts";
import { comparePaths } from "./path-order.ts";
import { type PlanEntry, planEntry } from "./plan-file.ts";
import { hexPath, NON_UNICODE_FOLDER } from "./raw-names.ts";

export interface WalkRequest {
  /** Files and folders as the user named them. */
  readonly sources: readonly string[];
  /** Strongroom's own state, which may not be inside the evidence nor hold it. */
  readonly home: string;
  readonly includeLitter: boolean;
  readonly storeNonUnicode: boolean;
}

export interface WalkResult {
  readonly files: number;
  readonly bytes: number;
  readonly sources: readonly { readonly name: string; readonly path: string }[];
  readonly emptyFolders: readonly string[];
  readonly omitted: readonly Omission[];
  readonly findings: PreflightFindings;
}

interface Child {
  /** As the file system gave it; not valid Unicode when `raw` is set. */
  readonly name: string;
  readonly raw: Buffer | null;
  readonly folder: boolean;
}

/**
 * Walks the sources in bytewise order of payload path and hands each regular file to `take`. Follows no symlink, writes nothing.
 * Memory grows with the largest folder and with what is reported, not with the number of files.
 * Throws for a source that cannot be evidence at all; everything inside folders becomes a finding.
 */
export class SourceWalk {
  readonly #request: WalkRequest;
  readonly #take: (entry: PlanEntry) => void;
  readonly #onFile: (files: number) => void;
  readonly #findings = new PreflightFindings();
  readonly #emptyFolders: string[] = [];
  readonly #omitted: Omission[] = [];
  readonly #nonUnicode: PlanEntry[] = [];
  /** Root reads everything, so only others are asked file by file. */
  readonly #mayBeRefused = process.geteuid?.() !== 0;
  #files = 0;
  #bytes = 0;
  /** Bytes of the current source's parent folder with its separator. */
  #base = 0;

  constructor(request: WalkRequest, take: (entry: PlanEntry) => void, onFile: (files: number) => void) {
    this.#request = request;
    this.#take = take;
    this.#onFile = onFile;
  }

  run(): WalkResult {
    const sources = this.#request.sources.map((source) => acceptSource(source, this.#request.home));
    this.#refuseSameNames(sources);
    this.#reportOverlaps(sources);
    sources.sort((a, b) =>
      comparePaths(sortKey(a.name, a.stats.isDirectory()), sortKey(b.name, b.stats.isDirectory())),
    );
    // The folder of non-Unicode names is known only after the walk, and stands at its place in the order: such a walk runs twice.
    if (this.#request.storeNonUnicode) this.#collectNonUnicode(sources);
    const nonUnicode = [...this.#nonUnicode];
    let placed = nonUnicode.length === 0;
    for (const source of sources) {
      const path = `data/${source.name}`;
      const key = sortKey(path, source.stats.isDirectory());
      if (!placed && comparePaths(`${NON_UNICODE_FOLDER}/`, key) < 0) {
        for (const entry of nonUnicode) this.#count(entry);
        placed = true;
      }
      this.#base = parentLength(source.path);
      if (source.stats.isDirectory()) this.#folder(path, source.path, this.#count);
      else this.#file(path, Buffer.from(source.path), source.stats, this.#count);
    }
    if (!placed) for (const entry of nonUnicode) this.#count(entry);
    if (this.#files === 0) {
      this.#findings.add("NOTHING_TO_SEAL", "data", "No file was found in what was named.");
    }
    return {
      files: this.#files,
      bytes: this.#bytes,
      sources: sources.map(({ name, path }) => ({ name, path })),
      emptyFolders: this.#emptyFolders,
      omitted: this.#omitted,
      findings: this.#findings,
    };
  }

  readonly #count = (entry: PlanEntry): void => {
    this.#files += 1;
    this.#bytes += entry.size;
    this.#take(entry);
    this.#onFile(this.#files);
  };

  #refuseSameNames(sources: readonly { name: string; path: string }[]): void {
    const byName = new Map<string, string>();
    for (const { name, path } of sources) {
      const other = byName.get(name);
      if (other === path) {
        this.#findings.add("SAME_NAME_TWICE", `data/${name}`, `${path} is named twice. Name it once.`);
      } else if (other !== undefined) {
        this.#findings.add(
          "SAME_NAME_TWICE",
          `data/${name}`,
          `${other} and ${path} would both become data/${name}. Seal their common folder, or make two packages.`,
        );
      }
      byName.set(name, path);
    }
    if (this.#request.storeNonUnicode && byName.has(basename(NON_UNICODE_FOLDER))) {
      this.#findings.add(
        "SAME_NAME_TWICE",
        NON_UNICODE_FOLDER,
        `${byName.get(basename(NON_UNICODE_FOLDER))} has the name that is kept for non-Unicode names.`,
      );
    }
    reportNames(this.#findings, "data", [...byName.keys()]);
  }

  #reportOverlaps(sources: readonly { name: string; path: string }[]): void {
    for (const { name, path } of sources) {
      const outer = sources.find((other) => other.path !== path && isWithin(path, other.path));
      if (outer === undefined) continue;
      this.#findings.add(
        "SOURCES_OVERLAP",
        `data/${name}`,
        `${path} lies in ${outer.path}, which is sealed too: the package holds it twice.`,
      );
    }
  }

  #collectNonUnicode(sources: readonly { name: string; path: string; stats: BigIntStats }[]): void {
    const request = { ...this.#request, storeNonUnicode: false };
    const scout = new SourceWalk(
      request,
      () => undefined,
      () => undefined,
    );
    for (const source of sources) {
      scout.#base = parentLength(source.path);
      if (source.stats.isDirectory()) scout.#folder(`data/${source.name}`, source.path, () => undefined);
    }
    this.#nonUnicode.push(...scout.#nonUnicode.sort((a, b) => comparePaths(a.path, b.path)));
  }

  #folder(path: string, onDisk: string, take: (entry: PlanEntry) => void): void {
    const children = this.#children(path, onDisk);
    if (children === null) return;
    let contributed = false;
    for (const child of children) {
      const childPath = `${path}/${child.name}`;
      const childOnDisk = `${onDisk}${sep}${child.name}`;
      if (child.raw !== null) {
        this.#nonUnicodeName(childPath, Buffer.concat([Buffer.from(onDisk + sep), child.raw]), child.folder);
        contributed = true;
      } else if (child.folder) {
        contributed = true;
        this.#folder(childPath, childOnDisk, take);
      } else if (isLitter(child.name) && !this.#request.includeLitter) {
        this.#leaveOut(childPath, child.name);
      } else {
        if (isLitter(child.name))
          this.#findings.add("LITTER_INCLUDED", childPath, `${child.name} is sealed with the rest.`);
        let stats: BigIntStats;
        try {
          stats = lstatSync(childOnDisk, { bigint: true });
        } catch (error) {
          this.#unreadable(childPath, error);
          continue;
        }
        contributed = this.#file(childPath, Buffer.from(childOnDisk), stats, take) || contributed;
      }
    }
    if (!contributed) this.#emptyFolders.push(path);
  }

  #children(path: string, onDisk: string): Child[] | null {
    let entries: Dirent[];
    try {
      entries = readdirSync(onDisk, { withFileTypes: true });
    } catch (error) {
      this.#unreadable(path, error);
      return null;
    }
    const children: Child[] = entries.some((entry) => entry.name.includes("\ufffd"))
      ? readdirSync(onDisk, { withFileTypes: true, encoding: "buffer" }).map((entry) => {
          const name = entry.name.toString("utf8");
          const raw = Buffer.from(name).equals(entry.name) ? null : entry.name;
          return { name, raw, folder: entry.isDirectory() };
        })
      : entries.map((entry) => ({ name: entry.name, raw: null, folder: entry.isDirectory() }));
    reportNames(
      this.#findings,
      path,
      children.filter((child) => child.raw === null).map((child) => child.name),
    );
    return sortChildren(children);
  }

  /** Returns whether the file is part of the package. */
  #file(path: string, onDisk: Buffer, stats: BigIntStats, take: (entry: PlanEntry) => void): boolean {
    if (stats.isSymbolicLink()) {
      this.#findings.add(
        "SYMLINK_LEFT_OUT",
        path,
        "A symbolic link is left out; what it points to is not sealed.",
      );
      this.#omitted.push({ path, reason: "symlink" });
      return false;
    }
    if (!stats.isFile()) {
      this.#findings.add("SPECIAL_FILE_LEFT_OUT", path, `A ${specialKind(stats)} is left out.`);
      this.#omitted.push({ path, reason: "special-file" });
      return false;
    }
    if (this.#mayBeRefused) {
      try {
        accessSync(onDisk, constants.R_OK);
      } catch (error) {
        this.#unreadable(path, error);
        return true;
      }
    }
    take(planEntry(path, onDisk, stats));
    return true;
  }

  #nonUnicodeName(path: string, onDisk: Buffer, folder: boolean): void {
    if (!this.#request.storeNonUnicode) {
      this.#findings.add(
        "NAME_NOT_UNICODE",
        path,
        `The name's bytes ${onDisk.subarray(onDisk.lastIndexOf(sep) + 1).toString("hex")} are not valid UTF-8. Rename it, or build with --store-non-unicode.`,
      );
    }
    try {
      if (folder) this.#nonUnicodeFolder(path, onDisk);
      else {
        this.#file(path, onDisk, lstatSync(onDisk, { bigint: true }), (entry) => {
          this.#nonUnicode.push({ ...entry, path: hexPath(onDisk.subarray(this.#base)) });
        });
      }
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
      this.#unreadable(path, error);
    }
  }

  #nonUnicodeFolder(path: string, onDisk: Buffer): void {
    for (const child of readdirSync(onDisk, { withFileTypes: true, encoding: "buffer" })) {
      const below = Buffer.concat([onDisk, Buffer.from(sep), child.name]);
      const name = child.name.toString("utf8");
      if (!child.isDirectory() && isLitter(name) && !this.#request.includeLitter)
        this.#leaveOut(`${path}/${name}`, name);
      else this.#nonUnicodeName(`${path}/${name}`, below, child.isDirectory());
    }
  }

  #leaveOut(path: string, name: string): void {
    this.#findings.add("LITTER_LEFT_OUT", path, `${name} is left out.`);
    this.#omitted.push({ path, reason: "litter" });
  }

  #unreadable(path: string, error: unknown): void {
    this.#findings.add("UNREADABLE", path, asFailure(error, path).failure.message);
  }
}

function sortKey(name: string, folder: boolean): string {
  return folder ? `${name}/` : name;
}

const SURROGATE = /[\ud800-\udfff]/;

function sortChildren(children: Child[]): Child[] {
  const keyed = children.map((child) => ({ child, key: sortKey(child.name, child.folder) }));
  const plain = !keyed.some(({ key }) => SURROGATE.test(key));
  keyed.sort(plain ? (a, b) => (a.key < b.key ? -1 : 1) : (a, b) => comparePaths(a.key, b.key));
  return keyed.map(({ child }) => child);
}

function parentLength(path: string): number {
  const parent = dirname(path);
  return Buffer.byteLength(parent.endsWith(sep) ? parent : parent + sep);
}
