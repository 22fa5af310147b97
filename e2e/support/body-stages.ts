import { setTimeout as sleep } from "node:timers/promises";

/** One stage through which a body flows, a chunk at a time. */
export type Stage = (chunks: AsyncIterable<Buffer>) => AsyncGenerator<Buffer>;

/** Tells `seen` the length of each chunk. */
export function counting(seen: (bytes: number) => void): Stage {
  return async function* (chunks) {
    for await (const chunk of chunks) {
      seen(chunk.length);
      yield chunk;
    }
  };
}

/** Changes the lowest bit of one byte. */
export function flipping(atByte: number): Stage {
  return async function* (chunks) {
    let offset = 0;
    for await (const chunk of chunks) {
      const at = atByte - offset;
      offset += chunk.length;
      if (at < 0 || at >= chunk.length) {
        yield chunk;
        continue;
      }
      const changed = Buffer.from(chunk);
      changed.writeUInt8(chunk.readUInt8(at) ^ 1, at);
      yield changed;
    }
  };
}

/** Lets through no more than this in a second, ten times a second, until `signal` ends it. */
export function throttling(bytesPerSecond: number, signal: AbortSignal): Stage {
  const step = Math.max(1, Math.floor(bytesPerSecond / 10));
  return async function* (chunks) {
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.length; at += step) {
        const slice = chunk.subarray(at, at + step);
        yield slice;
        await sleep((1000 * slice.length) / bytesPerSecond, undefined, { signal });
      }
    }
  };
}

/** Lets through `bytes`, or all where there are fewer, then holds the rest until `reached` returns; the body ends there. */
export function stoppingAfter(bytes: number, reached: () => void | Promise<void>): Stage {
  return async function* (chunks) {
    let left = bytes;
    for await (const chunk of chunks) {
      if (left > 0) yield chunk.subarray(0, left);
      left -= Math.min(left, chunk.length);
      if (left > 0) continue;
      // Within the loop: leaving it destroys the stream that is read, and its connection with it.
      await reached();
      return;
    }
    await reached();
  };
}

/** Reads all there is. */
export async function collect(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const read: Buffer[] = [];
  for await (const chunk of chunks) read.push(chunk);
  return Buffer.concat(read);
}
