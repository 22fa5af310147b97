import type { CreateOnly } from "./s3-capabilities.ts";
import { StoreRefusal } from "./s3-failures.ts";

/** What a write that must replace nothing adds to its input. */
interface Condition {
  readonly IfNoneMatch?: "*";
}

/**
 * Sends a write with `If-None-Match: *` unless the store was seen to refuse or to ignore it. Where nothing is known of that and the store says that it
 * does not implement it, the write is sent again without. Callers have looked before, wherever the store was not seen to honour it.
 */
export async function createOnly<T>(
  known: CreateOnly,
  send: (condition: Condition) => Promise<T>,
): Promise<T> {
  if (known === "not honoured") return send({});
  try {
    return await send({ IfNoneMatch: "*" });
  } catch (error) {
    if (known === "honoured" || !isNotImplemented(error)) throw error;
    return send({});
  }
}

/** Amazon S3 API, "Error responses": NotImplemented, for a header that "implies functionality that is not implemented". */
export function isNotImplemented(error: unknown): error is StoreRefusal {
  return error instanceof StoreRefusal && (error.status === 501 || error.storeCode === "NotImplemented");
}
