import type { ArchiveBytes } from "./archive-bytes.ts";

const CHUNK = 1024 * 1024;

/** Lines of a text inside an archive, LF-terminated, read in bounded memory. */
export class TextLines {
  readonly #archive: ArchiveBytes;
  readonly #end: number;
  #offset: number;
  #lines: string[] = [];
  #next = 0;
  #rest = "";

  constructor(archive: ArchiveBytes, offset: number, size: number) {
    this.#archive = archive;
    this.#offset = offset;
    this.#end = offset + size;
  }

  /** The next line without its LF, or null at the end. A last line without LF counts; one longer than a chunk comes in pieces. */
  next(): string | null {
    while (this.#next >= this.#lines.length) {
      if (this.#offset >= this.#end) return this.#last();
      const bytes = this.#archive.slice(this.#offset, Math.min(CHUNK, this.#end - this.#offset));
      if (bytes.length === 0) return this.#last();
      this.#offset += bytes.length;
      // latin1 keeps bytes apart from characters: a chunk may end inside a character.
      const lines = (this.#rest + bytes.toString("latin1")).split("\n");
      this.#rest = lines.pop() ?? "";
      if (this.#rest.length > CHUNK) lines.push(this.#rest.slice(0, CHUNK));
      if (this.#rest.length > CHUNK) this.#rest = this.#rest.slice(CHUNK);
      this.#lines = lines;
      this.#next = 0;
    }
    return Buffer.from(this.#lines[this.#next++] as string, "latin1").toString("utf8");
  }

  #last(): string | null {
    const rest = this.#rest;
    this.#rest = "";
    this.#offset = this.#end;
    return rest === "" ? null : Buffer.from(rest, "latin1").toString("utf8");
  }
}
