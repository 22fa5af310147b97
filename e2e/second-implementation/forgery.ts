import { createHash } from "node:crypto";

interface Entry {
  readonly header: number;
  readonly content: number;
  readonly size: number;
}

/** A package of plain names that a hostile sealer forges: the bytes are changed, then all digests above them are made to fit again. */
export class Forgery {
  readonly tar: Buffer;
  seal: Record<string, unknown>;
  readonly #entries = new Map<string, Entry>();

  constructor(tar: Buffer, seal: Record<string, unknown>) {
    this.tar = tar;
    this.seal = seal;
    for (let at = 0; tar[at] !== 0; ) {
      const name = tar.toString("latin1", at, tar.indexOf(0, at));
      const size = Number.parseInt(tar.toString("latin1", at + 124, at + 135), 8);
      this.#entries.set(name.slice(name.indexOf("/") + 1), { header: at, content: at + 512, size });
      at += 512 + Math.ceil(size / 512) * 512;
    }
  }

  entry(name: string): Entry {
    const found = this.#entries.get(name);
    if (found === undefined) throw new Error(`no entry ${name}`);
    return found;
  }

  text(name: string): string {
    const { content, size } = this.entry(name);
    return this.tar.toString("utf8", content, content + size);
  }

  /** Replaces text inside a file by text of the same length. */
  replace(name: string, from: string, to: string): void {
    const { content } = this.entry(name);
    const at = this.text(name).indexOf(from);
    if (at < 0 || from.length !== to.length) throw new Error(`cannot replace ${from} in ${name}`);
    this.tar.write(to, content + at);
  }

  /** Takes the last byte off a file. */
  shorten(name: string): void {
    const { header, content, size } = this.entry(name);
    this.tar[content + size - 1] = 0;
    this.tar.write((size - 1).toString(8).padStart(11, "0"), header + 124);
    this.checksum(name);
    this.#entries.set(name, { header, content, size: size - 1 });
  }

  /** Makes the header's checksum fit. */
  checksum(name: string): void {
    const { header } = this.entry(name);
    this.tar.write("        ", header + 148);
    const sum = this.tar.subarray(header, header + 512).reduce((all, byte) => all + byte, 0);
    this.tar.write(`${sum.toString(8).padStart(6, "0")}\0 `, header + 148);
  }

  tagManifests(): void {
    const lines = this.text("tagmanifest-sha256.txt").trimEnd().split("\n");
    const names = lines.map((line) => line.slice(66));
    const { content } = this.entry("tagmanifest-sha256.txt");
    this.tar.write(
      names.map((name) => `${sha256(Buffer.from(this.text(name)))}  ${name}\n`).join(""),
      content,
    );
  }

  reseal(): void {
    const whole = sha256(this.tar);
    this.seal = {
      ...this.seal,
      archiveSize: this.tar.length,
      parts: [whole],
      archiveSha256: whole,
      manifestSha256: sha256(Buffer.from(this.text("manifest.json"))),
      tagmanifestSha256: sha256(Buffer.from(this.text("tagmanifest-sha256.txt"))),
    };
  }
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
