import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  NoSuchKey,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import type { VaultHealth } from "../src-contract/vault-api.ts";
import { type Db, openDatabase } from "../src-core/catalog/database.ts";
import { ledgerMigrations } from "../src-core/catalog/ledger-migrations/index.ts";
import type { Clock } from "../src-core/ports.ts";
import { COMMAND_RETRY, type RetryPolicy } from "../src-core/transfer/retry.ts";
import { openTestVault, settingsFor } from "../src-core/vault/s3-fixtures.ts";
import type { S3Limits } from "../src-core/vault/s3-settings.ts";
import type { S3Vault } from "../src-core/vault/s3-vault.ts";
import { FaultProxy } from "./support/fault-proxy.ts";
import type { S3Store } from "./support/s3-store.ts";

/** A bucket that many places share, each under a prefix of its own. */
export interface FaultBucket {
  readonly store: S3Store;
  readonly name: string;
  /** What a probe of it found. */
  readonly health: VaultHealth;
  /** A ledger of which devices are given copies. */
  readonly ledger: string;
}

/** Probes a bucket; `folder` is for its devices' first ledger. */
export async function faultBucket(store: S3Store, name: string, folder: string): Promise<FaultBucket> {
  const vault = openTestVault(store, settingsFor(store, name));
  const health = await vault.health();
  vault.close();
  const ledger = join(folder, "ledger.db");
  openDatabase(ledger, ledgerMigrations, false).close();
  return { store, name, health, ledger };
}

/** Longer than a busy machine takes for anything. */
const PATIENT: S3Limits = { connectMs: 20_000, stallMs: 20_000, answerMs: 20_000, completeMs: 20_000 };
/** For faults in which nothing moves any more; what a busy machine so takes for one is tried again. */
const SHORT: S3Limits = { connectMs: 2000, stallMs: 400, answerMs: 400, completeMs: 400 };

/** Does not wait. */
const IMPATIENT: Omit<RetryPolicy, "tries"> = {
  firstMs: 1,
  longestMs: 1,
  random: () => 0,
  sleep: async () => undefined,
};

export interface PlaceOptions {
  /** Of a place that others use too; else it is one that nobody has used. */
  readonly prefix?: string;
  /** A device that was never told what the store honours. */
  readonly unprobed?: boolean;
}

interface Command {
  readonly vault: S3Vault;
  readonly vaultName: string;
  readonly db: Db;
  readonly clock: Clock;
  readonly lanes: number;
  readonly retry: RetryPolicy;
}

let places = 0;

/** A device with a ledger and an empty folder of its own, and its vault: a prefix of a bucket, reached through a proxy. */
export class FaultPlace {
  readonly folder: string;
  readonly prefix: string;
  readonly proxy: FaultProxy;
  readonly db: Db;
  readonly #bucket: FaultBucket;
  readonly #unprobed: boolean;
  #vault: S3Vault;
  #tries = COMMAND_RETRY.tries;
  /** The last request before each run, and whether the run was silent. */
  readonly #runs: { readonly after: number; readonly silent: boolean }[] = [];

  private constructor(bucket: FaultBucket, folder: string, proxy: FaultProxy, options: PlaceOptions) {
    this.#bucket = bucket;
    this.#unprobed = options.unprobed === true;
    this.folder = folder;
    this.prefix = options.prefix ?? `place-${++places}`;
    this.proxy = proxy;
    this.db = openDatabase(join(folder, "ledger.db"), ledgerMigrations, false);
    // What survives a power cut is not the question here, and hundreds of ledgers are written.
    this.db.pragma("synchronous = OFF");
    this.#vault = this.#connect(PATIENT);
  }

  static async open(bucket: FaultBucket, options: PlaceOptions = {}): Promise<FaultPlace> {
    const folder = await mkdtemp(join(tmpdir(), "strongroom-fault-"));
    await mkdir(join(folder, "pulled"));
    await copyFile(bucket.ledger, join(folder, "ledger.db"));
    return new FaultPlace(bucket, folder, await FaultProxy.open(bucket.store), options);
  }

  /** Through the proxy. */
  get vault(): S3Vault {
    return this.#vault;
  }

  /**
   * Begins anew with the vault, as each command does. `silent`: nothing may move for a while, and that is soon taken for a stall. `tries` as a command
   * has, unless said.
   */
  async reconnect(silent: boolean, tries: number = COMMAND_RETRY.tries): Promise<void> {
    this.#vault.close();
    this.#vault = this.#connect(silent ? SHORT : PATIENT);
    this.#tries = tries;
    this.#runs.push({ after: this.proxy.exchanges.at(-1)?.at ?? 0, silent });
    // The program looks at a vault before it works with it; from then on a 404 is known to be about an object, not about the bucket.
    for await (const _ of this.#vault.list("marker")) break;
  }

  /** Whether a request, counted from 1, was one of a silent run. */
  wasSilent(at: number): boolean {
    return this.#runs.findLast(({ after }) => after < at)?.silent === true;
  }

  async close(): Promise<void> {
    this.#vault.close();
    this.db.close();
    await this.proxy.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** What every command of this device is given. One part goes after another, so that it is known what was stored when it stopped. */
  command(): Command {
    const clock = { now: () => Date.now() };
    const retry = { ...IMPATIENT, tries: this.#tries };
    return { vault: this.vault, vaultName: "office", db: this.db, clock, lanes: 1, retry };
  }

  /** The bytes of an object, past the program and the proxy; null when there is none. */
  async bytes(key: string): Promise<Buffer | null> {
    try {
      const { Body } = await this.#client.send(new GetObjectCommand(this.#at(key)));
      return Buffer.from((await Body?.transformToByteArray()) ?? []);
    } catch (error) {
      if (error instanceof NoSuchKey) return null;
      throw error;
    }
  }

  async etag(key: string): Promise<string | undefined> {
    return (await this.#client.send(new HeadObjectCommand(this.#at(key)))).ETag;
  }

  /** Keys below the vault's root, in order. */
  async keys(): Promise<readonly string[]> {
    const Prefix = `${this.prefix}/`;
    const { Contents = [] } = await this.#client.send(
      new ListObjectsV2Command({ Bucket: this.#bucket.name, Prefix }),
    );
    return Contents.map(({ Key = "" }) => Key.slice(Prefix.length));
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    await this.#client.send(new PutObjectCommand({ ...this.#at(key), Body: bytes }));
  }

  async remove(key: string): Promise<void> {
    await this.#client.send(new DeleteObjectCommand(this.#at(key)));
  }

  /** Begins an upload that nobody will complete. */
  async leaveUpload(key: string): Promise<void> {
    await this.#client.send(new CreateMultipartUploadCommand(this.#at(key)));
  }

  /** Keys of the uploads that were begun and are neither completed nor dropped. */
  async uploads(): Promise<readonly string[]> {
    const Prefix = `${this.prefix}/`;
    const page = await this.#client.send(
      new ListMultipartUploadsCommand({ Bucket: this.#bucket.name, Prefix }),
    );
    return (page.Uploads ?? []).map(({ Key = "" }) => Key);
  }

  /** What nothing that is said or written may hold. */
  secrets(): readonly string[] {
    const { accessKeyId, secretAccessKey } = this.#bucket.store.facts;
    return [accessKeyId, secretAccessKey];
  }

  #connect(limits: S3Limits): S3Vault {
    const { store, name, health } = this.#bucket;
    const settings = settingsFor(store, name, { prefix: this.prefix, endpoint: this.proxy.endpoint });
    return openTestVault(store, settings, this.#unprobed ? null : health, limits);
  }

  get #client() {
    return this.#bucket.store.client;
  }

  #at(key: string) {
    return { Bucket: this.#bucket.name, Key: `${this.prefix}/${key}` };
  }
}
