import type { HealthProbe } from "../../src-contract/vault-api.ts";
import type { StoreClient } from "./s3-client.ts";
import { StoreRefusal } from "./s3-failures.ts";

type Found = Omit<HealthProbe, "name">;

/** Whether the bucket keeps versions. */
export async function probeVersioning(client: StoreClient): Promise<Found> {
  const { Status } = await client.send({
    operation: "GetBucketVersioning",
    command: (sdk) => new sdk.GetBucketVersioningCommand({ Bucket: client.settings.bucket }),
  });
  return Status === "Enabled"
    ? { result: "ok", detail: "the bucket keeps every version of an object" }
    : {
        result: "limited",
        detail: "the bucket keeps no versions: who may write can replace an object for good",
      };
}

/** Whether the bucket locks objects; `byDefault`: also those that do not ask for it. */
export async function probeLockState(
  client: StoreClient,
): Promise<{ readonly found: Found; readonly byDefault: boolean }> {
  const off: Found = {
    result: "limited",
    detail: "the bucket has no object lock: who may delete can delete evidence",
  };
  try {
    const output = await client.send({
      operation: "GetObjectLockConfiguration",
      command: (sdk) => new sdk.GetObjectLockConfigurationCommand({ Bucket: client.settings.bucket }),
    });
    const { ObjectLockEnabled, Rule } = output.ObjectLockConfiguration ?? {};
    if (ObjectLockEnabled !== "Enabled") return { found: off, byDefault: false };
    const { Mode, Days, Years } = Rule?.DefaultRetention ?? {};
    if (Mode === undefined) {
      return {
        found: { result: "ok", detail: "objects can be locked; none is by default" },
        byDefault: false,
      };
    }
    const time = Days === undefined ? `${Years} years` : `${Days} days`;
    return {
      found: { result: "ok", detail: `every object is locked for ${time} (${Mode})` },
      byDefault: true,
    };
  } catch (error) {
    if (error instanceof StoreRefusal && error.storeCode === "ObjectLockConfigurationNotFoundError") {
      return { found: off, byDefault: false };
    }
    throw error;
  }
}

/** Whether the bucket's owner has shut out the public. */
export async function probePublicAccess(client: StoreClient): Promise<Found> {
  const open: Found = {
    result: "limited",
    detail: "nothing keeps the bucket's owner from making objects public by mistake",
  };
  try {
    const { PublicAccessBlockConfiguration: block = {} } = await client.send({
      operation: "GetPublicAccessBlock",
      command: (sdk) => new sdk.GetPublicAccessBlockCommand({ Bucket: client.settings.bucket }),
    });
    const { BlockPublicAcls, BlockPublicPolicy, IgnorePublicAcls, RestrictPublicBuckets } = block;
    const all = [BlockPublicAcls, BlockPublicPolicy, IgnorePublicAcls, RestrictPublicBuckets];
    return all.every((part) => part === true) ? { result: "ok", detail: "public access is blocked" } : open;
  } catch (error) {
    if (error instanceof StoreRefusal && error.storeCode === "NoSuchPublicAccessBlockConfiguration")
      return open;
    throw error;
  }
}
