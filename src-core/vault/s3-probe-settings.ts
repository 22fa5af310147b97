import type { HealthProbe } from "../../src-contract/vault-api.ts";
import { FailureError } from "../failing.ts";
import { StoreRefusal } from "./s3-failures.ts";
import type { ProbeObjects } from "./s3-probe-objects.ts";
import type { S3Settings } from "./s3-settings.ts";

type Found = Omit<HealthProbe, "name">;
/** What a vault may ask of its store for the objects that it keeps. */
type Setting = "encryption" | "storage class";
type FoundSettings = readonly (readonly [Setting, Found])[];

/** How the store says that it keeps an object. */
export interface KeptAs {
  readonly ServerSideEncryption?: string | undefined;
  readonly SSEKMSKeyId?: string | undefined;
  readonly StorageClass?: string | undefined;
}

function failed(detail: string): Found {
  return { result: "failed", detail };
}

function unknown(detail: string): Found {
  return { result: "unknown", detail };
}

/** Details stand in a list, without full stops. */
function said(error: FailureError): string {
  return error.message.replace(/\.$/, "");
}

function askedFor({ encryption, storageClass }: S3Settings): readonly Setting[] {
  return [
    ...(encryption === "none" ? [] : (["encryption"] as const)),
    ...(storageClass === null ? [] : (["storage class"] as const)),
  ];
}

/** Where nothing was stored. */
export function untriedSettings(settings: S3Settings): FoundSettings {
  return askedFor(settings).map((name) => [name, unknown("not tried, since nothing was stored")]);
}

/**
 * Which settings of the vault are why the store refused an object: it takes the same one without them. The others stay open, and all of them where it
 * takes none at all.
 */
export async function refusedSettings(
  objects: ProbeObjects,
  settings: S3Settings,
  bytes: Buffer,
  refusal: StoreRefusal,
): Promise<FoundSettings> {
  const asked = askedFor(settings);
  const trials = asked.length > 1 ? [...asked.map((name) => [name]), asked] : asked.map((name) => [name]);
  for (const without of trials) {
    if (!(await isTaken(objects, bytes, without))) continue;
    const options = without.map((name) => optionOf(name, settings)).join(" and ");
    const found = failed(`${said(refusal)}; without ${options} the store takes the same object`);
    const open = untriedSettings(settings).filter(([name]) => !without.includes(name));
    return [...without.map((name) => [name, found] as const), ...open];
  }
  return untriedSettings(settings);
}

async function isTaken(objects: ProbeObjects, bytes: Buffer, without: readonly Setting[]): Promise<boolean> {
  try {
    await objects.put("whole", bytes, {
      as: {
        ...(without.includes("encryption") ? { encryption: "none" } : {}),
        ...(without.includes("storage class") ? { storageClass: null } : {}),
      },
    });
    return true;
  } catch (error) {
    if (error instanceof StoreRefusal) return false;
    throw error;
  }
}

function optionOf(name: Setting, { encryption, kmsKey, storageClass }: S3Settings): string {
  if (name === "storage class") return `--storage-class ${storageClass}`;
  return `--encryption ${encryption}${kmsKey === null ? "" : ` --kms-key ${kmsKey}`}`;
}

/** Whether the store keeps `whole` and `parts`, which it has taken, as the vault asks. */
export async function keptSettings(
  objects: ProbeObjects,
  settings: S3Settings,
  bytes: Buffer,
): Promise<FoundSettings> {
  const found = { encryption: probeEncryption, "storage class": probeClass };
  const kept: [Setting, Found][] = [];
  for (const name of askedFor(settings)) kept.push([name, await found[name](objects, settings, bytes)]);
  return kept;
}

/** Stores that encrypt say so in their answers (Amazon S3 API, PutObject); those that do not know the header take it and say nothing. */
async function probeEncryption(objects: ProbeObjects, settings: S3Settings): Promise<Found> {
  const whole = encryptionFound(settings, "an object", objects.kept.get("whole"));
  if (whole.result === "failed") return whole;
  try {
    let upload = objects.kept.get("parts");
    if (upload === undefined)
      return unknown("no upload in parts could be begun, so that only one object was tried");
    if (upload.ServerSideEncryption === undefined) upload = await objects.head("parts");
    const parts = encryptionFound(settings, "an upload in parts", upload);
    return parts.result === "failed" ? parts : whole;
  } catch (error) {
    if (error instanceof FailureError) return unknown(said(error));
    throw error;
  }
}

function encryptionFound({ encryption, kmsKey }: S3Settings, what: string, kept: KeptAs = {}): Found {
  const { ServerSideEncryption: told, SSEKMSKeyId: key } = kept;
  const asked = `--encryption ${encryption} was asked for`;
  if (told === undefined)
    return failed(
      `${asked}; the store takes ${what} without a word of encrypting it: it must be taken to keep plain text`,
    );
  if (told !== encryption) return failed(`${asked}; the store says of ${what}: ${told}`);
  if (encryption !== "aws:kms" || kmsKey === null || isSameKey(kmsKey, key))
    return {
      result: "ok",
      detail: `the store says that it encrypts objects: ${told}${key === undefined ? "" : ` with key ${key}`}`,
    };
  return failed(`--kms-key ${kmsKey} was asked for; the store says of ${what}: ${key ?? "no key"}`);
}

/** An alias is answered by the key behind it, which only its owner knows; a key's bare id by its ARN. */
function isSameKey(asked: string, told: string | undefined): boolean {
  if (told === undefined) return false;
  if (/(^|:)alias\//.test(asked) || asked === told) return true;
  return [`/${asked}`, `:${asked}`].some((end) => told.endsWith(end)) || asked.endsWith(`/${told}`);
}

/** What is stored is read back, now and at every verification: a class of an archive that is thawed for hours serves nobody. */
async function probeClass(
  objects: ProbeObjects,
  { storageClass }: S3Settings,
  bytes: Buffer,
): Promise<Found> {
  try {
    const same = bytes.equals(await objects.read("whole", bytes.length));
    if (!same) return unknown("what was read back was damaged on its way");
    const told = (await objects.head("whole")).StorageClass ?? "STANDARD";
    return told === storageClass
      ? { result: "ok", detail: `archives are stored in ${told}, and can be read at once` }
      : {
          result: "limited",
          detail: `--storage-class ${storageClass} was asked for; the store says: ${told}`,
        };
  } catch (error) {
    if (error instanceof StoreRefusal && error.storeCode === "InvalidObjectState")
      return failed(
        `objects of --storage-class ${storageClass} cannot be read at once (InvalidObjectState); archives are read back to verify them`,
      );
    if (error instanceof FailureError) return unknown(said(error));
    throw error;
  }
}
