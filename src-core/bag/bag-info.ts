import type { Finding } from "../../src-contract/findings.ts";
import { bagFinding } from "./rules.ts";

/** Payload-Oxum: bytes and number of files in data/ (RFC 8493, section 2.2.2). */
export interface Oxum {
  readonly bytes: bigint;
  readonly files: bigint;
}

/**
 * Checks the lines of bag-info.txt one array after the other and remembers the first Payload-Oxum.
 * Labels are compared without regard to case; a line that begins with white space continues the one before it.
 */
export class BagInfoReader {
  readonly #path: string;
  readonly #strict: boolean;
  readonly #findings: Finding[];
  #line = 0;
  #sawLabel = false;
  #oxumText: string | null = null;
  #inOxum = false;

  constructor(path: string, strict: boolean, findings: Finding[]) {
    this.#path = path;
    this.#strict = strict;
    this.#findings = findings;
  }

  read(lines: readonly string[]): void {
    for (const line of lines) {
      this.#line += 1;
      if (line.trim() !== "") this.#readLine(line);
    }
  }

  #readLine(line: string): void {
    const path = this.#path;
    const detail = `line ${this.#line}`;
    if (/^[ \t]/.test(line)) {
      if (!this.#sawLabel) this.#findings.push(bagFinding("BAG_INFO_SYNTAX", { path, detail }));
      if (this.#inOxum) this.#oxumText += line.trim();
      return;
    }
    const colon = line.indexOf(":");
    if (colon < 1) {
      this.#findings.push(bagFinding("BAG_INFO_SYNTAX", { path, detail }));
      return;
    }
    this.#sawLabel = true;
    const label = line.slice(0, colon);
    if (this.#strict && label.trim() !== label)
      this.#findings.push(bagFinding("BAG_INFO_LABEL_SPACE", { path, detail }));
    if (this.#strict && !/^([ \t]([^ \t]|$)|$)/.test(line.slice(colon + 1)))
      this.#findings.push(bagFinding("BAG_INFO_SEPARATOR", { path, detail }));
    this.#inOxum = label.trim().toLowerCase() === "payload-oxum";
    if (!this.#inOxum) return;
    if (this.#oxumText === null) this.#oxumText = line.slice(colon + 1).trim();
    else {
      this.#inOxum = false;
      this.#findings.push(bagFinding("OXUM_REPEATED", { path, detail }));
    }
  }

  /** The Oxum to hold the payload against, or null when none is given or it has another form. */
  oxum(): Oxum | null {
    if (this.#oxumText === null) return null;
    const match = /^(\d{1,30})\.(\d{1,30})$/.exec(this.#oxumText);
    if (match === null) {
      this.#findings.push(
        bagFinding("OXUM_SYNTAX", { path: this.#path, actual: this.#oxumText.slice(0, 200) }),
      );
      return null;
    }
    return { bytes: BigInt(match[1] ?? 0), files: BigInt(match[2] ?? 0) };
  }
}
