import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, renameSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Outcome } from "../../src-contract/failure.ts";
import type { QueueRun, TransferSummary } from "../../src-contract/transfers.ts";
import type { OpenedVault } from "../open-vault.ts";
import { valueIn, Workroom } from "../testing/workroom.ts";

/** For tests only. A package of five parts, and a limit at which they take some seconds: two are there after two, and as long again is left. */
export const LARGE = 70_000_000;
export const PARTS = 5;
export const SLOW = 20 * 1024 * 1024;

/** A room with a folder vault, and a second door to the same state, as another process has it. */
export class QueueRoom {
  readonly room: Workroom;
  readonly vaultFolder: string;
  readonly other: OpenedVault;

  private constructor(room: Workroom, vaultFolder: string, other: OpenedVault) {
    this.room = room;
    this.vaultFolder = vaultFolder;
    this.other = other;
  }

  static async open(): Promise<QueueRoom> {
    const room = await Workroom.open();
    const folder = await room.addVault();
    return new QueueRoom(room, folder, await room.openOther("home"));
  }

  async close(): Promise<void> {
    await this.other.close();
    await this.room.close();
  }

  /** Seals a package of `bytes`; answers with its id. */
  async seal(name: string, bytes = LARGE, mode: "copy" | "reference" = "copy"): Promise<string> {
    this.room.write(`ev-${name}/disk.img`, Buffer.alloc(bytes, createHash("sha512").update(name).digest()));
    return (await this.room.build(`ev-${name}`, { name, mode })).id;
  }

  /** A second engagement with a vault of its own. */
  async secondEngagement(id: string): Promise<string> {
    const path = this.room.path(`vault-${id}`);
    mkdirSync(path);
    valueIn(await this.room.vault.vaultAddFolder({ name: id, path }));
    valueIn(await this.room.vault.engagementCreate({ id, vault: id }));
    return path;
  }

  async transfers(all = false): Promise<readonly TransferSummary[]> {
    return valueIn(await this.other.transfersList({ all })).transfers;
  }

  /** The transfer of a package, once `accept` takes it. */
  async transferOf(
    packageId: string,
    accept: (transfer: TransferSummary) => boolean = () => true,
  ): Promise<TransferSummary> {
    for (;;) {
      const found = (await this.transfers(true)).find((one) => one.package === packageId);
      if (found !== undefined && accept(found)) return found;
      await delay(20);
    }
  }

  /** As soon as some of it was sent or fetched. */
  moving(packageId: string): Promise<TransferSummary> {
    return this.transferOf(packageId, ({ bytesDone }) => bytesDone > 0);
  }

  /** An agent in this process; `stop` ends it and answers with what it did. */
  agent(): { readonly ended: Promise<Outcome<QueueRun>>; readonly stop: () => Promise<QueueRun> } {
    const stop = new AbortController();
    const ended = this.room.vault.runQueue({}, { signal: stop.signal });
    return {
      ended,
      stop: async () => {
        stop.abort();
        return valueIn(await ended);
      },
    };
  }

  /** Takes the vault's folder away, as a disk that is unplugged; answers with how to bring it back. */
  unplug(folder = this.vaultFolder): () => void {
    renameSync(folder, `${folder}.away`);
    return () => renameSync(`${folder}.away`, folder);
  }

  /** Uploads under way in the vault, by file name. */
  uploads(): readonly string[] {
    return readdirSync(this.vaultFolder, { recursive: true })
      .map(String)
      .filter((name) => name.endsWith(".upload"));
  }
}
