/** How long a daemon may take until it answers before the start is given up; one second is usual. */
export declare const START_DEADLINE_MS = 180000;
/** The programs of Debian's packages that a store is made of. */
export declare const CEPH_PROGRAMS: readonly ["ceph-mon", "ceph-mgr", "ceph-osd", "radosgw", "radosgw-admin", "ceph"];
/** A port of loopback that nobody listens on, below those that Linux gives to outgoing connections (32768 up). */
export declare function freePort(): Promise<number>;
/** Asks again until `answer` is not undefined, at most until the deadline. */
export declare function waitFor<T>(what: string, answer: () => Promise<T | undefined>): Promise<T>;
/** One program of the cluster that runs until it is stopped. */
export declare class Daemon {
    #private;
    private constructor();
    /**
     * Starts `program` in the foreground. The kernel kills it when the process that started it dies, however that
     * happens (prctl(2), PR_SET_PDEATHSIG).
     */
    static start(folder: string, name: string, program: string, args: readonly string[]): Promise<Daemon>;
    /** Throws with what the daemon said if it is no longer there. */
    assertAlive(): Promise<void>;
    /** Kills it and waits until it is gone. */
    kill(): Promise<void>;
    /** Asks it to end, kills it after five seconds, and waits until it is gone. */
    end(): Promise<void>;
}
/** A program of the package that runs to its end; `args` are public and hold no secret. */
export declare function runCeph(folder: string, program: string, args: readonly string[]): Promise<string>;
/** Removes the folder when this process ends or the answered function is called, whichever is first. */
export declare function removeAtEnd(folder: string): () => Promise<void>;
/**
 * Starts one monitor, one manager and one OSD that keeps `memoryBytes` in memory (taken as it is filled), all in
 * `folder`, which is empty and private. Answers with the daemons in the order of their start.
 */
export declare function startCluster(folder: string, memoryBytes: number): Promise<readonly Daemon[]>;
