import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, type Gunzip, type InflateRaw } from "node:zlib";
import type { CancelSignal } from "../../src-contract/progress.ts";
import { asFailure, fail, systemCode, throwIfCancelled } from "../failing.ts";

/** What unpacked data may be before its ratio counts, and the largest ratio that evidence has; gzip itself reaches 1,030. */
const FREE_BYTES = 256 * 1024 * 1024;
const MAX_RATIO = 400;

/** Whether unpacked data is out of all proportion to the archive: a compression bomb. */
export function isBomb(unpacked: number, packed: number): boolean {
  return unpacked > FREE_BYTES && unpacked > packed * MAX_RATIO;
}

export function bomb(archive: string): Error {
  return fail(
    "ARCHIVE_UNSAFE",
    `${archive} unpacks to more than ${MAX_RATIO} times its size: it may be a compression bomb.`,
    "If you trust the sender, unpack it yourself and verify the folder.",
    { subject: archive },
  );
}

/**
 * The unpacked bytes of a gzip file of `packedSize` bytes. `onEnd` hears whether bytes that are not gzip follow its end.
 * Throws ARCHIVE_INVALID when it is damaged or truncated (the CRC at its end is checked), ARCHIVE_UNSAFE for a bomb.
 * Ending the iteration early closes the file.
 */
export async function* gunzipFile(
  archive: string,
  packedSize: number,
  onEnd: (trailing: boolean) => void,
  signal?: CancelSignal,
): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip({ chunkSize: 256 * 1024 });
  let unpacked = 0;
  try {
    for await (const chunk of unpack(createReadStream(archive, { highWaterMark: 256 * 1024 }), gunzip)) {
      throwIfCancelled(signal);
      unpacked += chunk.length;
      if (isBomb(unpacked, packedSize)) throw bomb(archive);
      yield chunk;
    }
  } catch (error) {
    if (systemCode(error)?.startsWith("Z_") !== true) throw asFailure(error, archive);
    throw fail(
      "ARCHIVE_INVALID",
      `${archive} is damaged or truncated: ${error instanceof Error ? error.message : String(error)}.`,
      "Get an intact copy of the archive.",
      { subject: archive, cause: error },
    );
  }
  onEnd(gunzip.bytesWritten < packedSize);
}

/** What comes out of `unzip` when `packed` goes in. Errors of both are thrown; when the iteration ends early, both are destroyed. */
export async function* unpack(packed: Readable, unzip: Gunzip | InflateRaw): AsyncGenerator<Buffer> {
  const stop = new AbortController();
  const feeding = pipeline(packed, unzip, { signal: stop.signal });
  // What goes wrong in the pipeline destroys `unzip` with the same error, and so comes out of the loop.
  feeding.catch((error: unknown) => error);
  try {
    for await (const chunk of unzip) yield chunk;
  } finally {
    stop.abort();
  }
}
