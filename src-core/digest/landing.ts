/** Beyond every file. */
const EVERYTHING = 2n ** 62n;
const GIVEN_UP = -1n;

/** A run of bytes [offset, offset + size) of a file. */
interface Piece {
  readonly offset: number;
  readonly size: number;
}

/**
 * How much of a file, from its beginning without a gap, is there while the rest is still being written. Threads of a hash pool that are given it
 * wait for bytes that are not there yet (`awaitLanded` in hash-worker.ts), so that digests follow the bytes while these are in the system's cache.
 */
export class Landing {
  /** One word: bytes that are there; negative once no more will come. Shared with threads. */
  readonly landed = new BigInt64Array(new SharedArrayBuffer(8));
  readonly #ahead = new Map<number, number>();
  #end = 0;

  /** This piece is written. Pieces may land in any order, each once. */
  add({ offset, size }: Piece): void {
    this.#ahead.set(offset, size);
    for (let next = this.#ahead.get(this.#end); next !== undefined; next = this.#ahead.get(this.#end)) {
      this.#ahead.delete(this.#end);
      this.#end += next;
    }
    this.#tell(BigInt(this.#end));
  }

  /** All that is to come is there: whoever waits for more finds the end of the file. */
  finish(): void {
    this.#tell(EVERYTHING);
  }

  /** Nothing more comes: whoever waits gives up. */
  giveUp(): void {
    this.#tell(GIVEN_UP);
  }

  #tell(bytes: bigint): void {
    Atomics.store(this.landed, 0, bytes);
    Atomics.notify(this.landed, 0);
  }
}
