import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, startCluster } from "./ceph-cluster.ts";
import { Daemon, removeAtEnd, waitFor } from "./daemon.ts";
import { StoreAdmin } from "./store-admin.ts";
import type { StoreFacts } from "./store-facts.ts";

/** The region that radosgw's default zone group answers to. */
const REGION = "us-east-1";

export interface GatewayOptions {
  /**
   * Gives out session tokens and takes them (`sessionKeys`). Such a gateway answers AccessDenied to a wrong secret and to
   * an unknown access key alike, where others say SignatureDoesNotMatch and InvalidAccessKeyId.
   */
  readonly sts?: boolean;
}

/** One radosgw in front of a cluster. Several may serve one cluster; each keeps its port when it is started again. */
export class Gateway {
  readonly endpoint: string;
  readonly #folder: string;
  readonly #port: number;
  readonly #sts: boolean;
  #daemon: Daemon | undefined;

  private constructor(folder: string, port: number, sts: boolean) {
    this.endpoint = `http://127.0.0.1:${port}`;
    this.#folder = folder;
    this.#port = port;
    this.#sts = sts;
  }

  /** Starts one more gateway for the cluster in this folder and waits until it answers. */
  static async open(cephFolder: string, options: GatewayOptions = {}): Promise<Gateway> {
    const gateway = new Gateway(cephFolder, await freePort(), options.sts === true);
    await gateway.start();
    return gateway;
  }

  /** Starts it on its port and waits until it answers. */
  async start(): Promise<void> {
    const name = `radosgw-${this.#port}`;
    const daemon = await Daemon.start(this.#folder, name, "radosgw", [
      ...["-c", join(this.#folder, "ceph.conf"), "-n", "client.rgw", "-f"],
      ...["--rgw-frontends", `beast endpoint=127.0.0.1:${this.#port}`],
      ...["--rgw-s3-auth-use-sts", String(this.#sts)],
      ...["--log-file", join(this.#folder, "log", `${name}.log`)],
    ]);
    this.#daemon = daemon;
    await waitFor(`radosgw at ${this.endpoint}`, async () => {
      await daemon.assertAlive();
      try {
        const response = await fetch(this.endpoint);
        await response.arrayBuffer();
        return response.ok ? true : undefined;
      } catch {
        // Nobody listens yet.
        return undefined;
      }
    });
  }

  /**
   * Ends it: new requests are refused, what was stored stays. It is asked before it is killed, since a killed gateway makes
   * the others wait for 30 s at their next change of a bucket (it still counts as a watcher).
   */
  async stop(): Promise<void> {
    await this.#daemon?.end();
    this.#daemon = undefined;
  }
}

/** A throw-away store: a Ceph cluster in memory, a gateway and the user whose keys are in the facts. */
export interface Radosgw {
  readonly facts: StoreFacts;
  readonly gateway: Gateway;
  /** Ends every daemon and removes the folder. */
  stop(): Promise<void>;
}

export interface RadosgwOptions {
  /** What the store holds at most, 8 GiB unless said; memory is taken as it is filled. */
  readonly memoryBytes?: number;
}

/**
 * Starts a store on loopback and free ports, in a private folder under the system's temporary folder, in about a second. The
 * daemons die and the folder goes with the process that calls this, however it ends. Any number may run at once.
 */
export async function startRadosgw(options: RadosgwOptions = {}): Promise<Radosgw> {
  const folder = await mkdtemp(join(tmpdir(), "strongroom-rgw-"));
  const removeFolder = removeAtEnd(folder);
  const running: { kill(): Promise<void> }[] = [];
  const stop = async () => {
    for (const daemon of running.splice(0).reverse()) await daemon.kill();
    await removeFolder();
  };
  try {
    running.push(...(await startCluster(folder, options.memoryBytes ?? 8 * 2 ** 30)));
    const gateway = await Gateway.open(folder);
    running.push({ kill: () => gateway.stop() });
    const keys = await new StoreAdmin(folder).createUser("strongroom-test");
    const facts = { endpoint: gateway.endpoint, region: REGION, ...keys, cephFolder: folder };
    return { facts, gateway, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
