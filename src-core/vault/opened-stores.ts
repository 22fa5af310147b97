import type { CredentialProvider } from "../credentials/store-credentials.ts";
import type { Vault } from "../ports.ts";
import { COMMAND_RETRY } from "../transfer/retry.ts";
import { withRetry } from "../transfer/steady-vault.ts";
import type { S3Vault } from "./s3-vault.ts";
import { requireMarker } from "./vault-marker.ts";
import type { S3Row } from "./vault-rows.ts";

interface Opened {
  /** All of the row that decides what is opened; another process may change it. */
  readonly as: string;
  readonly vault: Promise<Vault>;
}

/** The S3 vaults of one process: each is opened and looked at once, so that all work shares its connections. */
export class OpenedStores {
  readonly #opened = new Map<string, Opened>();
  readonly #open = new Set<S3Vault>();

  /** Opens the vault, or gives the one that is open, after making sure once that it is the one that was added. Throws as `requireMarker`. */
  async take(row: S3Row, credentials: () => CredentialProvider): Promise<Vault> {
    const as = JSON.stringify([row.settings, row.credentials, row.marker, row.health]);
    const known = this.#opened.get(row.name);
    if (known?.as === as) return await known.vault;
    const opened: Opened = { as, vault: this.#checked(row, credentials()) };
    this.#opened.set(row.name, opened);
    try {
      return await opened.vault;
    } catch (error) {
      // Whoever comes next tries anew.
      if (this.#opened.get(row.name) === opened) this.#opened.delete(row.name);
      throw error;
    }
  }

  /** Opens a vault for `work` alone, unchecked: one that is not added yet, or with credentials that are to be tried. */
  async withVault<T>(
    row: Pick<S3Row, "settings" | "health">,
    credentials: CredentialProvider,
    work: (vault: Vault) => Promise<T>,
  ): Promise<T> {
    const vault = await this.#create(row, credentials);
    try {
      return await work(vault);
    } finally {
      this.#close(vault);
    }
  }

  /** Cuts all connections. What was replaced is closed only now, since work may go on with it. */
  close(): void {
    for (const vault of [...this.#open]) this.#close(vault);
    this.#opened.clear();
  }

  async #checked(row: S3Row, credentials: CredentialProvider): Promise<Vault> {
    const vault = await this.#create(row, credentials);
    try {
      if (row.marker !== null) await requireMarker(withRetry(vault, COMMAND_RETRY), row.name, row.marker);
      return vault;
    } catch (error) {
      this.#close(vault);
      throw error;
    }
  }

  async #create(row: Pick<S3Row, "settings" | "health">, credentials: CredentialProvider): Promise<S3Vault> {
    // The AWS SDK takes a while to load.
    const { createS3Vault } = await import("./s3-vault.ts");
    const vault = createS3Vault(row.settings, credentials, row.health);
    this.#open.add(vault);
    return vault;
  }

  #close(vault: S3Vault): void {
    this.#open.delete(vault);
    vault.close();
  }
}
