import { createHash, randomBytes } from "node:crypto";
import type { HealthProbe, VaultHealth } from "../../src-contract/vault-api.ts";
import { asFailure, FailureError } from "../failing.ts";
import { probeLockState, probePublicAccess, probeVersioning } from "./s3-bucket-state.ts";
import type { StoreClient } from "./s3-client.ts";
import { isNotImplemented } from "./s3-create-only.ts";
import { StoreRefusal } from "./s3-failures.ts";
import { rootOf } from "./s3-keys.ts";
import { ProbeObjects, probeLock } from "./s3-probe-objects.ts";
import { keptSettings, refusedSettings, untriedSettings } from "./s3-probe-settings.ts";
import { type S3Settings, s3Location } from "./s3-settings.ts";
import { bareEtag, compositeEtag, tagOf } from "./s3-tags.ts";

type Found = Omit<HealthProbe, "name">;
type Name = HealthProbe["name"];

/** What is found out by writing; unknown where nothing may be written. */
const BY_WRITING = ["digest on write", "create only", "create only, multipart", "checksums", "etag"] as const;

/**
 * Tries what an S3 vault makes use of, with small objects of its own that it takes away again; what could not be taken away is told under `delete`.
 * Never throws for what the store does not do: that is the result. `fit` means that it can be read, and keeps objects as the vault's settings ask, as
 * far as that was found out; whether it can be written to is `writable`.
 */
export async function probeStore(client: StoreClient): Promise<VaultHealth> {
  const probes: HealthProbe[] = [];
  const note = (name: Name, found: Found) => probes.push({ name, ...found });
  const health = (): VaultHealth => ({
    fit: probes.every(({ result }) => result !== "failed"),
    freeBytes: null,
    maxFileBytes: null,
    caseSensitive: true,
    probes,
  });

  note("reachable", await probeReachable(client));
  if (!health().fit) return health();
  const versioning = await attempt(() => probeVersioning(client));
  const publicAccess = await attempt(() => probePublicAccess(client));
  const lock = await attemptLock(client);
  const objects = new ProbeObjects(client);
  if (lock.byDefault) objects.lock = probeLock();
  const bytes = randomBytes(1024);

  let lockFound = lock.found;
  const { writable, settings } = await attemptWriting(objects, client.settings, bytes, publicAccess);
  note("writable", writable);
  if (writable.result === "ok") {
    note("digest on write", await attempt(() => probeDigest(objects)));
    note("create only", await attempt(() => probeCreateOnly(objects)));
    for (const [name, found] of await probeMultipart(objects, bytes)) note(name, found);
    for (const [name, found] of await keptSettings(objects, client.settings, bytes)) note(name, found);
  } else {
    for (const [name, found] of settings) note(name, found);
    for (const name of BY_WRITING) note(name, unknown("not tried, since nothing was stored"));
  }
  const { found, lockHeld } = await removeProbes(objects);
  if (writable.result === "ok" && lock.byDefault && !lockHeld) lockFound = NOT_HELD;
  note(
    "delete",
    writable.result === "ok" || found.result !== "ok"
      ? found
      : unknown("not tried, since nothing was stored"),
  );
  note("versioning", versioning);
  note("object lock", lockFound);
  note("public access", publicAccess);
  return health();
}

const NOT_HELD: Found = {
  result: "limited",
  detail: "a lock is set by default, but an object under it could be deleted",
};

function ok(detail: string): Found {
  return { result: "ok", detail };
}

function limited(detail: string): Found {
  return { result: "limited", detail };
}

function unknown(detail: string): Found {
  return { result: "unknown", detail };
}

/** Details stand in a list, without full stops. */
function said(error: FailureError): string {
  return error.message.replace(/\.$/, "");
}

/** A refusal or a lost connection leaves the question open; anything else than a Failure is a fault of the program. */
async function attempt(work: () => Promise<Found>): Promise<Found> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof FailureError) return unknown(said(error));
    throw error;
  }
}

async function attemptLock(
  client: StoreClient,
): Promise<{ readonly found: Found; readonly byDefault: boolean }> {
  try {
    return await probeLockState(client);
  } catch (error) {
    if (error instanceof FailureError) return { found: unknown(said(error)), byDefault: false };
    throw error;
  }
}

/** Whether the bucket answers to these credentials, without the right to list buckets. */
async function probeReachable(client: StoreClient): Promise<Found> {
  const { settings } = client;
  try {
    await client.send({
      operation: "ListObjectsV2",
      command: (sdk) =>
        new sdk.ListObjectsV2Command({ Bucket: settings.bucket, Prefix: rootOf(settings), MaxKeys: 1 }),
    });
    return ok(s3Location(settings));
  } catch (error) {
    const failure = asFailure(error);
    if (failure.failure.code === "PERMISSION_MISSING") {
      return limited(`${said(failure)}; packages cannot be looked for`);
    }
    return { result: "failed", detail: said(failure) };
  }
}

interface Writing {
  readonly writable: Found;
  /** What is to blame of the vault's settings, where it is not writable. */
  readonly settings: Awaited<ReturnType<typeof refusedSettings>>;
}

async function attemptWriting(
  objects: ProbeObjects,
  settings: S3Settings,
  bytes: Buffer,
  publicAccess: Found,
): Promise<Writing> {
  const untried = untriedSettings(settings);
  try {
    await objects.put("whole", bytes);
    return { writable: ok("objects can be stored"), settings: [] };
  } catch (error) {
    if (!(error instanceof FailureError)) throw error;
    if (!(error instanceof StoreRefusal)) return { writable: unknown(said(error)), settings: untried };
    const writable = whyNotWritable(error, objects, publicAccess);
    if (error.failure.code !== "STORE_REFUSED") return { writable, settings: untried };
    try {
      return { writable, settings: await refusedSettings(objects, settings, bytes, error) };
    } catch (lost) {
      if (lost instanceof FailureError) return { writable, settings: untried };
      throw lost;
    }
  }
}

function whyNotWritable(error: StoreRefusal, objects: ProbeObjects, publicAccess: Found): Found {
  const refused = error.failure.code === "PERMISSION_MISSING";
  if (refused && objects.lock.ObjectLockMode !== undefined) {
    return unknown(
      `${said(error)}; without s3:PutObjectRetention a probe would stay locked for the bucket's default time, and is not tried`,
    );
  }
  // research/transfer.md, section 3: radosgw refuses private objects too.
  const blocked =
    refused && publicAccess.result === "ok"
      ? ", or the store refuses all while public access is blocked"
      : "";
  return limited(`${said(error)}${blocked}; packages can be read, not stored`);
}

/** Of an object and of a part, which a store may treat differently. */
async function probeDigest(objects: ProbeObjects): Promise<Found> {
  const bytes = Buffer.from("probe");
  const said = createHash("sha256").update("other bytes").digest("hex");
  const refused = (work: Promise<unknown>) => isRefused(400, work);
  const whole = await refused(objects.put("digest", bytes, { said }));
  const part = whole && (await refused(objects.part(await objects.begin("digest", false), bytes, { said })));
  return whole && part
    ? ok("bytes that differ from their digest are refused by the store")
    : limited(
        "the store does not check digests; this device checks them before the last bytes are sent, and reads back what was stored where no checksum proves it",
      );
}

const LOOKS_FIRST =
  "this device looks first, so that only two devices in the same instant are not kept apart";

async function probeCreateOnly(objects: ProbeObjects): Promise<Found> {
  return createOnlyFound(objects.put("whole", Buffer.from("second"), { IfNoneMatch: "*" }), {
    honoured: "the store refuses to replace an object",
    ignored: "the store would replace an object",
  });
}

/** Of a write under a key that is taken. */
async function createOnlyFound(
  work: Promise<unknown>,
  detail: { readonly honoured: string; readonly ignored: string },
): Promise<Found> {
  try {
    return (await isRefused(412, work)) ? ok(detail.honoured) : limited(`${detail.ignored}; ${LOOKS_FIRST}`);
  } catch (error) {
    if (!isNotImplemented(error)) throw error;
    return limited(`the store refuses If-None-Match (${error.storeCode || error.status}); ${LOOKS_FIRST}`);
  }
}

/** A small upload of one part tells of checksums, of ETags and of whether completing may replace. */
async function probeMultipart(objects: ProbeObjects, bytes: Buffer): Promise<[Name, Found][]> {
  const found = new Map<Name, Found>();
  const failed = await attempt(async () => {
    const upload = await objects.begin("parts", true);
    if (!upload.kept) found.set("checksums", limited("the store keeps no SHA-256 checksums"));
    const sha256 = createHash("sha256").update(bytes).digest("base64");
    const checked = upload.kept ? { checksum: sha256 } : {};
    const refused =
      upload.kept &&
      (await isRefused(
        400,
        objects.part(upload, bytes, { checksum: createHash("sha256").update("x").digest("base64") }),
      ));
    const part = await objects.part(upload, bytes, checked);
    const listed = (await objects.parts(upload))[0];
    await objects.complete(upload, part);
    const head = await objects.head("parts");
    const composite = `${createHash("sha256").update(Buffer.from(sha256, "base64")).digest("base64")}-1`;
    if (upload.kept) {
      const kept =
        listed?.ChecksumSHA256 === sha256 &&
        part.ChecksumSHA256 === sha256 &&
        head.ChecksumSHA256 === composite;
      found.set("checksums", checksumsResult(refused, kept));
    }
    found.set("etag", etagResult(bytes, tagOf(part), bareEtag(head.ETag)));
    const second = await objects.begin("parts", upload.kept);
    const again = await objects.part(second, bytes, checked);
    found.set(
      "create only, multipart",
      await createOnlyFound(objects.complete(second, again, "*"), {
        honoured: "the store refuses to replace an object by an upload in parts",
        ignored: "completing an upload would replace an object",
      }),
    );
    return ok("");
  });
  const names: readonly Name[] = ["create only, multipart", "checksums", "etag"];
  return names.map((name) => [name, found.get(name) ?? failed]);
}

function checksumsResult(refused: boolean, kept: boolean): Found {
  if (refused && kept) return ok("the store checks, keeps and tells SHA-256 checksums");
  return limited(
    refused
      ? "SHA-256 checksums are checked, not told again"
      : "SHA-256 checksums are taken without being checked",
  );
}

function etagResult(bytes: Buffer, tag: string, composite: string): Found {
  const md5 = createHash("md5").update(bytes).digest("hex");
  return tag.split(" ")[0] === md5 && composite === compositeEtag([md5])
    ? ok("ETags are MD5 of the bytes, by which what was stored is recognised")
    : limited("ETags are not MD5 of the bytes; what was stored is read back to check it");
}

async function removeProbes(
  objects: ProbeObjects,
): Promise<{ readonly found: Found; readonly lockHeld: boolean }> {
  try {
    const { left, lockHeld } = await objects.remove();
    if (left.length === 0) return { found: ok("objects can be deleted"), lockHeld };
    const stay = left.map(({ key, why }) => `${key} stays in the bucket (${why})`).join("; ");
    const asItShould = left.every(({ locked }) => locked);
    return { found: asItShould ? ok(`the lock keeps what is stored; so ${stay}`) : limited(stay), lockHeld };
  } catch (error) {
    if (error instanceof FailureError)
      return { found: unknown(`the probe's objects may stay: ${said(error)}`), lockHeld: true };
    throw error;
  }
}

/** True when the store refuses with this status, false when it accepts; any other failure is thrown. */
async function isRefused(status: number, work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return false;
  } catch (error) {
    if (error instanceof StoreRefusal && error.status === status) return true;
    throw error;
  }
}
