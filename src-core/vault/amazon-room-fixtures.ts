import type { Outcome } from "../../src-contract/failure.ts";
import type { Request, VaultSummary } from "../../src-contract/vault-api.ts";
import { type OpenedVault, openVault } from "../open-vault.ts";
import { valueIn, Workroom } from "../testing/workroom.ts";
import { AmazonLike } from "./amazon-like-fixtures.ts";
import { type FakeStore, fakeStore } from "./fake-store-fixtures.ts";
import type { Deviations } from "./store-deviations-fixtures.ts";

/** For tests only: a state folder, and a store like Amazon's that its program reaches. */
export interface AmazonRoom extends AsyncDisposable {
  readonly amazon: AmazonLike;
  readonly store: FakeStore;
  readonly room: Workroom;
  readonly vault: OpenedVault;
  /** The same state folder with another key. */
  as(accessKeyId: string): Promise<OpenedVault>;
  /** Adds the whole bucket as vault `lake`. */
  add(more?: Partial<Request<"vaultAddS3">>): Promise<Outcome<VaultSummary>>;
}

export async function amazonRoom(deviations: Deviations = {}): Promise<AmazonRoom> {
  const amazon = new AmazonLike(deviations);
  const store = await fakeStore((request, response) => amazon.answer(request, response));
  const room = await Workroom.withEvidence();
  const opened: OpenedVault[] = [];
  const as = async (accessKeyId: string) => {
    const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: "secret" };
    const vault = valueIn(await openVault({ home: room.home, env }));
    opened.push(vault);
    return vault;
  };
  const vault = await as("AKID");
  const { bucket, endpoint } = store.settings;
  return {
    ...{ amazon, store, room, vault, as },
    add: (more = {}) =>
      vault.vaultAddS3({ name: "lake", bucket, endpoint: endpoint ?? "", credentials: "env", ...more }),
    async [Symbol.asyncDispose]() {
      for (const one of opened) await one.close();
      await room.close();
      await store[Symbol.asyncDispose]();
    },
  };
}
