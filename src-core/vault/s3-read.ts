import { type FailureError, fail, throwIfCancelled } from "../failing.ts";
import type { ObjectInfo, Vault } from "../ports.ts";
import type { S3Capabilities } from "./s3-capabilities.ts";
import type { StoreClient } from "./s3-client.ts";
import { permissionMissing, StoreRefusal } from "./s3-failures.ts";
import { bucketKey } from "./s3-keys.ts";
import { oddAnswer, unreachable } from "./s3-network.ts";
import { s3Location } from "./s3-settings.ts";
import { bareEtag, quotedEtag } from "./s3-tags.ts";

type Reads = Pick<Vault, "head" | "getRange" | "readRange">;

/** Reading of objects: each range is one request, of one version. */
export function s3Reads(client: StoreClient, can: S3Capabilities): Reads {
  const { settings } = client;
  const where = s3Location(settings);
  /** Amazon asks for another permission as soon as a version is named; without it If-Match alone holds the version. */
  let namesVersions = true;

  const head: Vault["head"] = async (key, signal) => {
    const Key = bucketKey(settings, key);
    try {
      const { output, exchange } = await client.open({
        operation: "HeadObject",
        key,
        signal,
        command: (sdk) =>
          new sdk.HeadObjectCommand({
            Bucket: settings.bucket,
            Key,
            ...(can.checksums ? { ChecksumMode: "ENABLED" } : {}),
          }),
      });
      exchange.close();
      if (output.ETag === undefined || output.ContentLength === undefined || exchange.status !== 200) {
        throw oddAnswer(where, "an object without its ETag or size");
      }
      return {
        key,
        size: output.ContentLength,
        version: bareEtag(output.ETag),
        ...(output.VersionId === undefined ? {} : { versionId: output.VersionId }),
        ...(output.ChecksumSHA256 === undefined ? {} : { sha256: output.ChecksumSHA256 }),
        metadata: output.Metadata ?? {},
        ...(output.LastModified === undefined ? {} : { modified: output.LastModified.getTime() }),
      };
    } catch (error) {
      if (!(error instanceof StoreRefusal) || error.status >= 500 || error.status === 429) throw error;
      if (error.status === 404 && client.reached) return null;
      await explain(key, Key, signal);
      return null;
    }
  };

  /**
   * Why a HEAD was refused, which its answer has no body to tell: a GET of one byte has one. Returns when nothing is stored under the key; else
   * throws.
   */
  async function explain(key: string, Key: string, signal: Parameters<Vault["head"]>[1]): Promise<void> {
    try {
      const command = { Bucket: settings.bucket, Key, Range: "bytes=0-0" };
      const { exchange } = await client.open({
        operation: "GetObject",
        key,
        signal,
        command: (sdk) => new sdk.GetObjectCommand(command),
      });
      exchange.close();
    } catch (error) {
      if (!(error instanceof StoreRefusal)) throw error;
      if (error.storeCode === "NoSuchKey") return;
      if (error.status === 416) throw disagree(key);
      if (error.failure.code !== "PERMISSION_MISSING") throw error;
      await list(key, Key, signal);
      throw error;
    }
    throw disagree(key);
  }

  function disagree(key: string): FailureError {
    return unreachable(where, "busy", `the store does not say the same of ${key} twice`);
  }

  /** Without the right to list, Amazon calls what is not there forbidden too. */
  async function list(key: string, Prefix: string, signal: Parameters<Vault["head"]>[1]): Promise<void> {
    try {
      await client.send({
        operation: "ListObjectsV2",
        signal,
        command: (sdk) => new sdk.ListObjectsV2Command({ Bucket: settings.bucket, Prefix, MaxKeys: 1 }),
      });
    } catch (error) {
      if (!(error instanceof StoreRefusal) || error.failure.code !== "PERMISSION_MISSING") throw error;
      const asked = { settings, operation: "ListObjectsV2" } as const;
      const { failure } = permissionMissing(asked, "", { operation: "HeadObject", key });
      throw fail(
        "PERMISSION_MISSING",
        `${where} does not tell whether ${key} is there: it refuses to read it, and without s3:ListBucket it says the same of what is not stored.`,
        `${failure.nextStep} If it is refused again, s3:GetObject is missing too.`,
        { subject: key, ...(failure.details === undefined ? {} : { details: { ...failure.details } }) },
      );
    }
  }

  const readRange: Vault["readRange"] = async (object, offset, size, consume, signal) => {
    throwIfCancelled(signal);
    const Key = bucketKey(settings, object.key);
    if (size === 0) return;
    const range = `${offset}-${offset + size - 1}`;
    const open = (VersionId: string | undefined) =>
      client.open({
        operation: VersionId === undefined ? "GetObject" : "GetObjectVersion",
        ranged: true,
        key: object.key,
        signal,
        command: (sdk) =>
          new sdk.GetObjectCommand({
            Bucket: settings.bucket,
            Key,
            Range: `bytes=${range}`,
            IfMatch: quotedEtag(object.version),
            ...(VersionId === undefined ? {} : { VersionId }),
          }),
      });
    const { output, exchange } = await opened(object, open);
    try {
      if (exchange.status !== 206 || output.ContentRange !== `bytes ${range}/${object.size}`) {
        throw oddAnswer(
          where,
          `status ${exchange.status} and range "${output.ContentRange ?? "none"}" where bytes ${range} of ${object.key} were asked for`,
        );
      }
      if (bareEtag(output.ETag) !== object.version) throw changed(object, "another version was answered");
      if (output.ContentLength !== undefined && output.ContentLength !== size) {
        throw oddAnswer(where, `${output.ContentLength} bytes where ${size} of ${object.key} were asked for`);
      }
      const received = await exchange.pour(size, consume);
      if (received !== size)
        throw unreachable(where, "cut", `${received} of ${size} bytes of ${object.key} came`);
    } finally {
      exchange.close();
    }
  };

  async function opened<T>(
    object: ObjectInfo,
    open: (versionId: string | undefined) => Promise<T>,
  ): Promise<T> {
    try {
      return await open(namesVersions ? object.versionId : undefined);
    } catch (error) {
      if (!(error instanceof StoreRefusal)) throw error;
      if (error.failure.code === "PERMISSION_MISSING" && namesVersions && object.versionId !== undefined) {
        namesVersions = false;
        return opened(object, open);
      }
      if (GONE.has(error.status) && error.failure.code !== "BUCKET_NOT_FOUND")
        throw changed(object, `status ${error.status}`);
      throw error;
    }
  }

  function changed(object: ObjectInfo, why: string): FailureError {
    return fail(
      "OBJECT_CHANGED",
      `${object.key} in ${where} was replaced or removed while it was read (${why}).`,
      "Find out who changes the vault, then try again.",
      { subject: object.key },
    );
  }

  return {
    head,
    readRange,
    getRange: (object, offset, target, signal) =>
      readRange(object, offset, target.length, async (at, bytes) => target.set(bytes, at), signal),
  };
}

/** Removed, a delete marker in its place, replaced, shorter than it was. */
const GONE = new Set([404, 405, 412, 416]);
