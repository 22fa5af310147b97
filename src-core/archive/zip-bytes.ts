import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { Readable } from "node:stream";
import { RandomAccessReader } from "yauzl";

const WINDOW = 64 * 1024;

/** A stretch of a file in memory, from which small reads that follow each other are served. */
class Window {
  readonly #handle: FileHandle;
  readonly #size: number;
  #bytes = Buffer.alloc(0);
  #start = 0;

  constructor(handle: FileHandle, size: number) {
    this.#handle = handle;
    this.#size = size;
  }

  async read(position: number, length: number): Promise<Buffer> {
    const within = position - this.#start;
    if (within < 0 || within + length > this.#bytes.length) {
      const wanted = Math.max(0, Math.min(this.#size - position, Math.max(length, WINDOW)));
      const target = Buffer.allocUnsafe(wanted);
      const { bytesRead } = await this.#handle.read(target, 0, wanted, position);
      this.#bytes = target.subarray(0, bytesRead);
      this.#start = position;
    }
    const from = position - this.#start;
    return this.#bytes.subarray(from, from + length);
  }
}

/** The bytes of a zip for yauzl and for reading contents; each has its own window, since they are read by turns. */
export class ZipBytes extends RandomAccessReader {
  readonly size: number;
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #directory: Window;
  readonly #contents: Window;

  private constructor(path: string, handle: FileHandle, size: number) {
    super();
    this.#path = path;
    this.#handle = handle;
    this.size = size;
    this.#directory = new Window(handle, size);
    this.#contents = new Window(handle, size);
  }

  static async open(path: string): Promise<ZipBytes> {
    const handle = await open(path, "r");
    return new ZipBytes(path, handle, (await handle.stat()).size);
  }

  /** `length` bytes of content, fewer where the file ends; valid until the next call. */
  readAt(position: number, length: number): Promise<Buffer> {
    return this.#contents.read(position, length);
  }

  /** What yauzl reads the directory by. */
  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null) => void,
  ): void {
    this.#directory.read(position, length).then((bytes) => {
      bytes.copy(buffer, offset);
      callback(bytes.length < length ? new Error("unexpected end of file") : null);
    }, callback);
  }

  stream(start: number, length: number): Readable {
    // An end before the start is what Node refuses.
    return createReadStream(this.#path, { start, end: start + length - 1, highWaterMark: 256 * 1024 });
  }

  dispose(): Promise<void> {
    return this.#handle.close();
  }
}
