import { z } from "zod";
import { runCeph } from "./ceph-cluster.ts";
import type { StoreKeys } from "./store-facts.ts";

const userSchema = z.object({
  keys: z.array(z.object({ access_key: z.string(), secret_key: z.string() })),
});

/** Manages the users of a radosgw of our own, from any process that may read its folder. */
export class StoreAdmin {
  readonly #folder: string;

  constructor(cephFolder: string) {
    this.#folder = cephFolder;
  }

  /** The program's arguments are public, so that it makes every secret itself. */
  async #run(...args: readonly string[]): Promise<string> {
    return await runCeph(this.#folder, "radosgw-admin", args);
  }

  async #user(...args: readonly string[]): Promise<StoreKeys[]> {
    const answer: unknown = JSON.parse(await this.#run(...args));
    return userSchema
      .parse(answer)
      .keys.map((key) => ({ accessKeyId: key.access_key, secretAccessKey: key.secret_key }));
  }

  /** Adds a user who owns nothing yet; answers with the first keys. */
  async createUser(uid: string): Promise<StoreKeys> {
    const [keys] = await this.#user("user", "create", "--uid", uid, "--display-name", uid);
    if (keys === undefined) throw new Error(`radosgw-admin made no key for ${uid}`);
    return keys;
  }

  /** From now on all that the user asks is refused (403 UserSuspended); `enableUser` takes it back. */
  async suspendUser(uid: string): Promise<void> {
    await this.#user("user", "suspend", "--uid", uid);
  }

  async enableUser(uid: string): Promise<void> {
    await this.#user("user", "enable", "--uid", uid);
  }

  /** Gives the user a second pair of keys beside those there are. */
  async addKeys(uid: string): Promise<StoreKeys> {
    const before = new Set((await this.#user("user", "info", "--uid", uid)).map((keys) => keys.accessKeyId));
    const after = await this.#user("key", "create", "--uid", uid, "--gen-access-key", "--gen-secret");
    const added = after.find((keys) => !before.has(keys.accessKeyId));
    if (added === undefined) throw new Error(`radosgw-admin added no key for ${uid}`);
    return added;
  }

  /** Gives the access key another secret: the old one is refused (403 SignatureDoesNotMatch). */
  async changeSecret(uid: string, accessKeyId: string): Promise<StoreKeys> {
    const keys = await this.#user(
      ...["key", "create", "--uid", uid, "--access-key", accessKeyId, "--gen-secret"],
    );
    const changed = keys.find((each) => each.accessKeyId === accessKeyId);
    if (changed === undefined) throw new Error(`${uid} has no access key ${accessKeyId}`);
    return changed;
  }

  /**
   * Makes a role that this user may take on and that may do everything; answers with its ARN, for AssumeRole at a gateway
   * that gives out session tokens.
   */
  async createRole(name: string, uid: string): Promise<string> {
    const trust = JSON.stringify({
      Version: "2012-10-17",
      Statement: [
        { Effect: "Allow", Principal: { AWS: [`arn:aws:iam:::user/${uid}`] }, Action: ["sts:AssumeRole"] },
      ],
    });
    const rights = JSON.stringify({
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Action: ["s3:*"], Resource: "arn:aws:s3:::*" }],
    });
    const role = ["--role-name", name];
    const made: unknown = JSON.parse(
      await this.#run("role", "create", ...role, "--assume-role-policy-doc", trust),
    );
    await this.#run("role-policy", "put", ...role, "--policy-name", "all", "--policy-doc", rights);
    return z.object({ Arn: z.string() }).parse(made).Arn;
  }

  /** Takes the access key away: it is refused from now on (403 InvalidAccessKeyId). */
  async removeKeys(uid: string, accessKeyId: string): Promise<void> {
    await this.#user("key", "rm", "--uid", uid, "--access-key", accessKeyId);
  }
}
