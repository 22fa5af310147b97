import { open } from "node:fs/promises";
import type { CancelSignal } from "../../src-contract/progress.ts";
import { asFailure, fail, throwIfCancelled } from "../failing.ts";

/** Reads an archive from front to end. Bytes that are handed out stay valid until the next call. */
export interface ByteCursor {
  /** Bytes from the start of the archive. */
  readonly position: number;
  /** The next `length` bytes, or null at the end; throws ARCHIVE_INVALID when the archive ends within them. `length` is small (1 MiB at most). */
  take(length: number): Promise<Uint8Array | null>;
  /** Moves on; throws ARCHIVE_INVALID when fewer bytes are there. */
  skip(length: number): Promise<void>;
  /** The next `length` bytes in pieces; throws ARCHIVE_INVALID when fewer are there. */
  chunks(length: number): AsyncIterable<Uint8Array>;
  /** All that is left, in pieces. */
  rest(): AsyncIterable<Uint8Array>;
}

function truncated(archive: string): Error {
  return fail(
    "ARCHIVE_INVALID",
    `${archive} ends in the middle of an entry: it is truncated.`,
    "Get a complete copy of the archive.",
    { subject: archive },
  );
}

const WINDOW = 64 * 1024;
const PIECE = 64 * 1024;

/** Random access: what is skipped is not read. */
export async function openFileCursor(
  path: string,
  signal?: CancelSignal,
): Promise<ByteCursor & { readonly size: number; close(): Promise<void> }> {
  const handle = await open(path, "r").catch((error: unknown) => {
    throw asFailure(error, path);
  });
  const { size } = await handle.stat();
  let position = 0;
  let window: Buffer = Buffer.alloc(0);
  let windowStart = 0;

  async function load(length: number): Promise<Buffer> {
    throwIfCancelled(signal);
    const target = Buffer.allocUnsafe(length);
    let got = 0;
    while (got < length) {
      const { bytesRead } = await handle.read(target, got, length - got, position + got).catch((error) => {
        throw asFailure(error, path);
      });
      if (bytesRead === 0) throw truncated(path);
      got += bytesRead;
    }
    return target;
  }

  async function* chunks(length: number): AsyncGenerator<Uint8Array> {
    const end = position + length;
    if (end > size) throw truncated(path);
    while (position < end) {
      const piece = await load(Math.min(PIECE, end - position));
      position += piece.length;
      yield piece;
    }
  }

  return {
    size,
    get position() {
      return position;
    },
    async take(length) {
      if (position === size && length > 0) return null;
      if (position + length > size) throw truncated(path);
      const within = position - windowStart;
      if (within < 0 || within + length > window.length) {
        window = await load(Math.max(length, Math.min(WINDOW, size - position)));
        windowStart = position;
      }
      const from = position - windowStart;
      position += length;
      return window.subarray(from, from + length);
    },
    async skip(length) {
      if (position + length > size) throw truncated(path);
      position += length;
    },
    chunks,
    rest: () => chunks(size - position),
    close: () => handle.close(),
  };
}

/** A stream that cannot go back: what is skipped is read and dropped. */
export function streamCursor(archive: string, stream: AsyncIterator<Uint8Array>): ByteCursor {
  let position = 0;
  let rest: Uint8Array = new Uint8Array(0);

  /** At least one more byte in `rest`, or false at the end. */
  async function more(): Promise<boolean> {
    while (rest.length === 0) {
      const next = await stream.next();
      if (next.done === true) return false;
      rest = next.value;
    }
    return true;
  }

  function cut(length: number): Uint8Array {
    const piece = rest.subarray(0, length);
    rest = rest.subarray(piece.length);
    position += piece.length;
    return piece;
  }

  async function* chunks(length: number): AsyncGenerator<Uint8Array> {
    let left = length;
    while (left > 0) {
      if (!(await more())) throw truncated(archive);
      const piece = cut(left);
      left -= piece.length;
      yield piece;
    }
  }

  return {
    get position() {
      return position;
    },
    async take(length) {
      if (!(await more())) return null;
      if (rest.length >= length) return cut(length);
      const pieces: Uint8Array[] = [];
      for await (const piece of chunks(length)) pieces.push(piece);
      return Buffer.concat(pieces);
    },
    async skip(length) {
      let left = length;
      while (left > 0) {
        if (!(await more())) throw truncated(archive);
        left -= cut(left).length;
      }
    },
    chunks,
    async *rest() {
      while (await more()) yield cut(rest.length);
    },
  };
}
