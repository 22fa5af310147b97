import { readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Failure } from "../../src-contract/failure.ts";
import { EXPORT_FORMATS, type SyncedEngagement } from "../../src-contract/vault-api.ts";
import { type OpenedVault, openVault } from "../open-vault.ts";
import { valueIn, Workroom } from "../testing/workroom.ts";

/** For tests only: a device that makes packages (`room.vault`) and one that learns of them from a folder vault (`reader`). */
export class TwoDevices {
  readonly room: Workroom;
  /** The vault's folder. */
  readonly vault: string;
  reader: OpenedVault;
  #taken = 0;

  private constructor(room: Workroom, vault: string, reader: OpenedVault) {
    this.room = room;
    this.vault = vault;
    this.reader = reader;
  }

  static async open(): Promise<TwoDevices> {
    const room = await Workroom.withEvidence();
    const vault = await room.addVault();
    const reader = await room.openOther("reader");
    valueIn(await reader.engagementCreate({ id: Workroom.ENGAGEMENT }));
    await room.addVault(reader);
    return new TwoDevices(room, vault, reader);
  }

  /** Seals `ev` and stores it; answers with the id. */
  async store(more: Parameters<Workroom["build"]>[1] = {}): Promise<string> {
    const { id } = await this.room.build("ev", more);
    valueIn(await this.room.vault.packagePush({ package: id }));
    return id;
  }

  /** A sync of one device's only engagement. */
  async sync(
    device: OpenedVault = this.reader,
  ): Promise<SyncedEngagement & { readonly warnings: readonly Failure[] }> {
    const outcome = await device.sync({});
    const [synced, another] = valueIn(outcome).engagements;
    if (synced === undefined || another !== undefined) throw new Error("there should be one engagement");
    return { ...synced, warnings: outcome.ok ? (outcome.warnings ?? []) : [] };
  }

  /** The reader's state folder is closed and opened again, without its catalog where that is asked for. */
  async reopenReader(without?: "catalog"): Promise<void> {
    await this.reader.close();
    if (without === "catalog")
      for (const more of ["", "-wal", "-shm"])
        rmSync(join(this.room.path("reader"), `catalog.db${more}`), { force: true });
    this.reader = valueIn(await openVault({ home: this.room.path("reader") }));
  }

  /** Runs `work` while the vault's folder cannot be reached. */
  async offline<T>(work: () => Promise<T>): Promise<T> {
    renameSync(this.vault, `${this.vault}-away`);
    try {
      return await work();
    } finally {
      renameSync(`${this.vault}-away`, this.vault);
    }
  }

  /** All that can be asked of a package without its bytes: list, show, files, searches and every export. */
  async answers(device: OpenedVault, id: string): Promise<Record<string, unknown>> {
    const answers: Record<string, unknown> = {
      list: valueIn(await device.packageList({})),
      show: valueIn(await device.packageShow({ package: id })),
      files: valueIn(await device.packageFiles({ package: id })),
      search: valueIn(await device.packageFiles({ package: id, search: "A.TXT" })),
      engagement: valueIn(await device.engagementShow({ id: Workroom.ENGAGEMENT })).packages,
    };
    for (const format of EXPORT_FORMATS) {
      const out = this.room.path(`export-${++this.#taken}`);
      const exported = valueIn(await device.manifestExport({ package: id, format, out }));
      answers[`export ${format}`] = readFileSync(exported.out, "utf8");
    }
    return answers;
  }

  async close(): Promise<void> {
    await this.reader.close();
    await this.room.close();
  }
}
