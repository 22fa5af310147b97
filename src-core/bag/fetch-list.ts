import type { Finding } from "../../src-contract/findings.ts";
import type { Inventory } from "./inventory.ts";
import { findListedPath } from "./listed-path.ts";
import type { ManifestTable } from "./manifest-table.ts";
import { bagFinding } from "./rules.ts";

/** An absolute address without white space, a length in bytes or `-`, a path (RFC 8493, section 2.2.3). */
const LINE = /^([A-Za-z][A-Za-z0-9+.-]*:[^ \t]+)[ \t]+(\d+|-)[ \t]+(\S.*)$/s;

/** The files of fetch.txt. Nothing is ever fetched (section 5.2), and the length is a hint that is not relied on (section 5.3). */
export class FetchList {
  readonly #inventory: Inventory;
  readonly #strict: boolean;
  readonly #findings: Finding[];
  /** File number to declared length. */
  readonly #lengths = new Map<number, bigint | null>();
  #line = 0;

  constructor(inventory: Inventory, strict: boolean, findings: Finding[]) {
    this.#inventory = inventory;
    this.#strict = strict;
    this.#findings = findings;
  }

  has(file: number): boolean {
    return this.#lengths.has(file);
  }

  read(lines: readonly string[]): void {
    for (const line of lines) {
      this.#line += 1;
      if (line.trim() !== "") this.#readLine(line);
    }
  }

  #readLine(line: string): void {
    const detail = `fetch.txt, line ${this.#line}`;
    const [, , length = "-", listed = ""] = LINE.exec(line) ?? [];
    if (listed === "") {
      const facts = { path: "fetch.txt", actual: line.slice(0, 300), detail };
      this.#findings.push(bagFinding("FETCH_LINE_MALFORMED", facts));
      return;
    }
    const found = findListedPath(this.#inventory, listed, this.#strict);
    if ("unsafe" in found || "folder" in found) {
      const reason = "unsafe" in found ? found.unsafe : "names a folder";
      this.#findings.push(
        bagFinding("FETCH_PATH_UNSAFE", { path: listed, detail: `it ${reason}; ${detail}` }),
      );
      return;
    }
    const { path } = found;
    for (const code of found.notes) this.#findings.push(bagFinding(code, { path: listed, detail }));
    if (!path.startsWith("data/")) {
      this.#findings.push(bagFinding("FETCH_PATH_OUTSIDE_PAYLOAD", { path, detail }));
      return;
    }
    const file = found.file ?? this.#inventory.addAbsent(path);
    if (this.#lengths.has(file)) this.#findings.push(bagFinding("FETCH_DUPLICATE", { path, detail }));
    this.#lengths.set(file, length === "-" ? null : BigInt(length));
  }

  /** Holds the list against the manifests and the files that are there; for files that are not, says that the bag is incomplete. */
  check(manifests: readonly ManifestTable[]): void {
    for (const [file, length] of this.#lengths) {
      const path = this.#inventory.path(file);
      const listing = manifests.filter((manifest) => manifest.lists(file)).length;
      if (listing === 0 || (this.#strict && listing < manifests.length)) {
        this.#findings.push(bagFinding("FETCH_NOT_IN_MANIFEST", { path }));
      }
      if (!this.#inventory.isPresent(file)) {
        this.#findings.push(bagFinding("PAYLOAD_FILE_NOT_FETCHED", { path }));
        continue;
      }
      const actual = this.#inventory.size(file);
      if (length !== null && length !== BigInt(actual)) {
        const facts = { path, expected: `${length} bytes`, actual: `${actual} bytes` };
        this.#findings.push(bagFinding("FETCH_LENGTH_DIFFERS", facts));
      }
    }
  }

  /** How many files are still to be fetched. */
  absent(): number {
    return [...this.#lengths.keys()].filter((file) => !this.#inventory.isPresent(file)).length;
  }
}
