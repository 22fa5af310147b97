import type { Db } from "./catalog/database.ts";
import type { VaultCredentials } from "./credentials/vault-credentials.ts";
import type { Home } from "./home.ts";
import type { Clock, NewId } from "./ports.ts";
import type { OpenedStores } from "./vault/opened-stores.ts";

/** What every piece of work needs from its surroundings; made once by vault-calls.ts. */
export interface Core {
  readonly home: Home;
  /** Not rebuildable: builds under way, transfers, custody log, settings. */
  readonly ledger: Db;
  /** Rebuildable from packages and vaults. */
  readonly catalog: Db;
  /** Of S3 vaults; what this run was told to use instead is in it. */
  readonly credentials: VaultCredentials;
  /** The S3 vaults that this process has opened. */
  readonly stores: OpenedStores;
  readonly clock: Clock;
  readonly newId: NewId;
  /** `Strongroom/<version>`. */
  readonly program: string;
  /** This device's name, as its owner gave it. */
  readonly device: string;
}
