import { fail } from "../failing.ts";

const SMALLEST_PART = 16 * 1024 * 1024;
/** 16 MiB x 2^8 = 4 GiB, below S3's largest part of 5 GiB (S3 User Guide, "Amazon S3 multipart upload limits"). */
const MAX_DOUBLINGS = 8;
/** Of S3's 10,000 parts the payload may use 9,000; the rest is kept for tag files, whose size is not known when the plan is fixed. */
const MAX_PAYLOAD_PARTS = 9_000;

/**
 * The part size in bytes for a payload region (headers, content and padding of all payload files) of that many bytes:
 * the smallest 16 MiB x 2^k, k at most 8, that needs at most 9,000 parts. Throws PACKAGE_TOO_LARGE beyond.
 */
export function choosePartSize(payloadRegion: number): number {
  for (let k = 0; k <= MAX_DOUBLINGS; k++) {
    const size = SMALLEST_PART * 2 ** k;
    if (payloadRegion <= size * MAX_PAYLOAD_PARTS) return size;
  }
  throw fail(
    "PACKAGE_TOO_LARGE",
    `The evidence needs ${payloadRegion} bytes of archive; one package holds at most ${SMALLEST_PART * 2 ** MAX_DOUBLINGS * MAX_PAYLOAD_PARTS}.`,
    "Split it into several packages.",
    { details: { payloadRegion } },
  );
}
