import type { CancelSignal } from "../../src-contract/progress.ts";
import type { ObjectInfo, Vault } from "../ports.ts";
import { type RetryPolicy, retrying } from "./retry.ts";

/** The vaults behind those that try again. */
const behind = new WeakMap<Vault, Vault>();

/** The vault whose every call is tried once, behind one that tries again. */
export function tryingOnce(vault: Vault): Vault {
  return behind.get(vault) ?? vault;
}

/**
 * The same vault, whose small requests are tried again as the policy says; each of them may be repeated safely, since everything is create-only.
 * Bodies of parts and ranges are tried once: whoever counts their bytes tries them again. A vault that had another policy gets this one instead.
 */
export function withRetry(vault: Vault, policy: RetryPolicy, signal?: CancelSignal): Vault {
  const once = tryingOnce(vault);
  const again = <T>(work: () => Promise<T>, own: CancelSignal | undefined = signal): Promise<T> =>
    retrying(policy, own, work);
  const steady: Vault = {
    ...once,
    put: (key, bytes, options = {}) =>
      again(() => once.put(key, bytes, { ...options, signal: options.signal ?? signal }), options.signal),
    beginUpload: (key, size, partSize, options = {}) =>
      again(
        () => once.beginUpload(key, size, partSize, { ...options, signal: options.signal ?? signal }),
        options.signal,
      ),
    listParts: (upload, own = signal) => again(() => once.listParts(upload, own), own),
    completeUpload: (upload, parts, own = signal) =>
      again(() => once.completeUpload(upload, parts, own), own),
    abortUpload: (upload) => again(() => once.abortUpload(upload)),
    listUploads: (prefix) =>
      resumed(
        () => once.listUploads(prefix),
        ({ key, uploadId }) => `${key}\0${uploadId}`,
        (work) => again(work),
      ),
    getRange: (object, offset, target, own = signal) =>
      again(() => once.getRange(object, offset, target, own), own),
    head: (key, own = signal) => again(() => once.head(key, own), own),
    list: (prefix, own = signal) =>
      resumed(
        () => once.list(prefix, own),
        ({ key }: ObjectInfo) => key,
        (work) => again(work, own),
      ),
    delete: (key) => again(() => once.delete(key)),
    ...(once.tellDigest === undefined
      ? {}
      : {
          tellDigest: (key: string, sha256: string) =>
            again(async () => await once.tellDigest?.(key, sha256)),
        }),
    requireRoom: (size, toSend) => again(() => once.requireRoom(size, toSend)),
  };
  behind.set(steady, once);
  return steady;
}

/** A listing that begins anew after a failure and answers nothing twice. What it has answered before is no success: one bad page ends it in the end. */
async function* resumed<T>(
  list: () => AsyncIterable<T>,
  nameOf: (item: T) => string,
  again: <R>(work: () => Promise<R>) => Promise<R>,
): AsyncGenerator<T> {
  const given = new Set<string>();
  let items = list()[Symbol.asyncIterator]();
  const nextNew = async (): Promise<IteratorResult<T>> => {
    try {
      let result = await items.next();
      while (result.done !== true && given.has(nameOf(result.value))) result = await items.next();
      return result;
    } catch (error) {
      items = list()[Symbol.asyncIterator]();
      throw error;
    }
  };
  for (;;) {
    const result = await again(nextNew);
    if (result.done === true) return;
    given.add(nameOf(result.value));
    yield result.value;
  }
}
