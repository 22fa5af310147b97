import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyTree, digestsBelow, ENGAGEMENT, must } from "./crash-scenario.ts";
import type { Desk } from "./run-cli.ts";
import type { FaultProxy } from "./support/fault-proxy.ts";

/** The vault that commands which are killed work with, as seen past the program. */
export interface CrashVault {
  /** What the program takes for its store, where it has one. */
  readonly proxy?: FaultProxy | undefined;
  /** Makes the engagement on this desk, with this vault. */
  engage(desk: Desk): Promise<void>;
  /** SHA-256 of all that is stored of a package, by its place below the package's own. */
  stored(packageId: string): Promise<ReadonlyMap<string, string>>;
  /** The bytes of one of those. */
  read(packageId: string, path: string): Promise<Uint8Array>;
  /** Remembers what is there; `restore` puts it back as often as needed. */
  keep(): Promise<void>;
  restore(): Promise<void>;
  /** Asserts what must hold besides once a package is stored. */
  assertStored(desk: Desk, packageId: string): Promise<void>;
  close(): Promise<void>;
}

/** A vault in a folder. */
export async function folderCrashVault(): Promise<CrashVault> {
  const folder = await mkdtemp(join(tmpdir(), "strongroom-e2e-"));
  const root = join(folder, "vault");
  const kept = join(folder, "kept");
  await mkdir(root);
  const placeOf = (packageId: string) => join(root, "engagements", ENGAGEMENT, "packages", packageId);
  return {
    async engage(desk) {
      await desk.value("vault", "add", "folder", "office", "--path", root);
      await desk.value("engagement", "create", ENGAGEMENT, "--vault", "office");
    },
    stored: (packageId) => digestsBelow(placeOf(packageId)),
    read: (packageId, path) => readFile(join(placeOf(packageId), path)),
    keep: () => copyTree(root, kept),
    async restore() {
      await rm(root, { recursive: true, force: true });
      await copyTree(kept, root);
    },
    async assertStored(desk, packageId) {
      await must(desk, "verify", packageId, "--remote", "--full");
    },
    close: () => rm(folder, { recursive: true, force: true }),
  };
}
