import type { StoreFacts } from "./store-facts.ts";
export interface GatewayOptions {
    /**
     * Gives out session tokens and takes them (`temporaryKeys`). Such a gateway answers AccessDenied to a wrong secret and to
     * an unknown access key alike, where others say SignatureDoesNotMatch and InvalidAccessKeyId.
     */
    readonly sts?: boolean;
}
/** One radosgw in front of a cluster. Several may serve one cluster; each keeps its port when it is started again. */
export declare class Gateway {
    #private;
    readonly endpoint: string;
    private constructor();
    /** Starts one more gateway for the cluster in this folder and waits until it answers. */
    static open(cephFolder: string, options?: GatewayOptions): Promise<Gateway>;
    /** Starts it on its port and waits until it answers. */
    start(): Promise<void>;
    /**
     * Ends it: new requests are refused, what was stored stays. It is asked before it is killed, since a killed gateway makes
     * the others wait for 30 s at their next change of a bucket (it still counts as a watcher).
     */
    stop(): Promise<void>;
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
export declare function startRadosgw(options?: RadosgwOptions): Promise<Radosgw>;
