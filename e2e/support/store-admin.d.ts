import type { StoreKeys } from "./store-facts.ts";
/** Manages the users of a radosgw of our own, from any process that may read its folder. */
export declare class StoreAdmin {
    #private;
    constructor(cephFolder: string);
    /** Adds a user who owns nothing yet; answers with the first keys. */
    createUser(uid: string): Promise<StoreKeys>;
    /** From now on all that the user asks is refused (403 UserSuspended); `enableUser` takes it back. */
    suspendUser(uid: string): Promise<void>;
    enableUser(uid: string): Promise<void>;
    /** Gives the user a second pair of keys beside those there are. */
    addKeys(uid: string): Promise<StoreKeys>;
    /** Gives the access key another secret: the old one is refused (403 SignatureDoesNotMatch). */
    changeSecret(uid: string, accessKeyId: string): Promise<StoreKeys>;
    /**
     * Makes a role that this user may take on and that may do everything; answers with its ARN, for AssumeRole at a gateway
     * that gives out session tokens.
     */
    createRole(name: string, uid: string): Promise<string>;
    /** Takes the access key away: it is refused from now on (403 InvalidAccessKeyId). */
    removeKeys(uid: string, accessKeyId: string): Promise<void>;
}
