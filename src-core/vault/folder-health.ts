import { randomBytes } from "node:crypto";
import { link, mkdir, open, readdir, rename, rm, statfs, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { HealthProbe, VaultHealth } from "../../src-contract/vault-api.ts";
import { exists, publishFile } from "../durable-files.ts";
import { FailureError, fail, systemCode } from "../failing.ts";
import type { FolderRoot } from "./folder-root.ts";

/** `f_type` of FAT and exFAT (Linux statfs(2), MSDOS_SUPER_MAGIC and EXFAT_SUPER_MAGIC). */
const FAT = 0x4d44;
const EXFAT = 0x2011bab0;
/** A FAT directory entry holds the size in 32 bits (Microsoft FAT specification, "FAT Directory Structure"). */
const FAT_LARGEST = 2 ** 32 - 1;
/** The longest name that the layout needs: a signature's upload, `.<64 hex>-<64 hex>.dsse.json.<32 hex>.upload`. */
const LONGEST_NAME = 1 + 64 + 1 + 64 + 10 + 1 + 32 + 7;
/** Names that campaigns may bring along; a place that refuses them still holds every package. */
const ODD_NAMES = ["größe 100% (1).txt", "a:b*c?.txt", 'quote".txt'];

type Found = Omit<HealthProbe, "name">;
/** Without these, an object could be seen half-written, be lost, or overwrite another. */
const NEEDED: readonly HealthProbe["name"][] = [
  "reachable",
  "writable",
  "rename",
  "create only",
  "names",
  "fsync",
];

/**
 * Tries what a folder vault needs in a probe folder of its own, which is removed again. Never throws for what the place cannot do: that is
 * the result. Reading and writing speed is not tried.
 */
export async function probeFolder(root: FolderRoot): Promise<VaultHealth> {
  const probes: HealthProbe[] = [];
  const note = (name: HealthProbe["name"], found: Found) => probes.push({ name, ...found });
  const health = (more: Partial<VaultHealth> = {}): VaultHealth => ({
    freeBytes: null,
    maxFileBytes: null,
    caseSensitive: null,
    ...more,
    fit: NEEDED.every((name) => probes.some((probe) => probe.name === name && probe.result !== "failed")),
    probes,
  });

  const reachable = await attempt(async () => {
    await root.assertReachable();
    return ok(root.path);
  });
  note("reachable", reachable);
  if (reachable.result === "failed") return health();

  const system = await root.guard(root.path, () => statfs(root.path));
  const freeBytes = system.bavail * system.bsize;
  note(
    "free space",
    freeBytes > 0 ? ok(`${freeBytes} bytes free`) : { result: "failed", detail: "no space is free" },
  );

  const folder = join(root.path, `.strongroom-probe-${randomBytes(8).toString("hex")}`);
  try {
    const writable = await attempt(async () => {
      await mkdir(folder);
      await writeFile(join(folder, "write"), "probe", { flag: "wx" });
      return ok("files can be written");
    });
    note("writable", writable);
    if (writable.result === "failed") return health({ freeBytes });
    note("fsync", await attempt(() => probeSync(folder)));
    note("rename", await attempt(() => probeRename(folder)));
    note("create only", await attempt(() => probeCreateOnly(folder)));
    note("names", await attempt(() => probeNames(folder)));
    const caseSensitive = await probeCase(folder);
    note("case", caseResult(caseSensitive));
    const { maxFileBytes, ...largest } = await probeLargest(folder, system.type);
    note("largest file", largest);
    return health({ freeBytes, maxFileBytes, caseSensitive });
  } finally {
    await root.guard(folder, () => rm(folder, { recursive: true, force: true }));
  }
}

function ok(detail: string): Found {
  return { result: "ok", detail };
}

/** A system error is the answer of the place; anything else is a fault of the program. */
async function attempt(work: () => Promise<Found>): Promise<Found> {
  try {
    return await work();
  } catch (error) {
    // Details stand in a list, without full stops.
    if (error instanceof FailureError) return { result: "failed", detail: error.message.replace(/\.$/, "") };
    const code = systemCode(error);
    if (code === undefined) throw error;
    return { result: "failed", detail: `refused by the system (${code})` };
  }
}

async function probeSync(folder: string): Promise<Found> {
  const handle = await open(join(folder, "write"), "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
  return ok(
    "the system accepts requests to write to the disk at once; whether the disk obeys cannot be seen",
  );
}

async function probeRename(folder: string): Promise<Found> {
  await writeFile(join(folder, "old"), "probe");
  await rename(join(folder, "old"), join(folder, "new"));
  const there = await exists(join(folder, "new"));
  return there ? ok("files can be renamed") : { result: "failed", detail: "a renamed file is not there" };
}

async function probeCreateOnly(folder: string): Promise<Found> {
  const first = join(folder, "first");
  const target = join(folder, "target");
  await writeFile(first, "first");
  await publishFile(first, target);
  const second = join(folder, "second");
  await writeFile(second, "second");
  try {
    await publishFile(second, target);
    return { result: "failed", detail: "an existing file was replaced by a new one" };
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
  }
  return (await hasLinks(folder))
    ? ok("an existing file is never replaced")
    : {
        result: "limited",
        detail: "no hard links: two devices that write the same name in the same instant are not kept apart",
      };
}

async function hasLinks(folder: string): Promise<boolean> {
  try {
    await link(join(folder, "write"), join(folder, "link"));
    return true;
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return false;
  }
}

async function probeNames(folder: string): Promise<Found> {
  await writeFile(join(folder, "n".repeat(LONGEST_NAME)), "");
  const refused: string[] = [];
  for (const name of ODD_NAMES) {
    const kept = await attempt(async () => {
      await writeFile(join(folder, name), "");
      return (await readdir(folder)).includes(name) ? ok(name) : { result: "failed", detail: name };
    });
    if (kept.result === "failed") refused.push(name);
  }
  return refused.length === 0
    ? ok("long and odd names are kept")
    : {
        result: "limited",
        detail: `cannot keep names such as ${refused.join("  ")}; packages do not need them`,
      };
}

/** Null when the place does not let itself be tried. */
async function probeCase(folder: string): Promise<boolean | null> {
  try {
    await writeFile(join(folder, "case"), "");
    return !(await exists(join(folder, "CASE")));
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return null;
  }
}

function caseResult(sensitive: boolean | null): Found {
  if (sensitive === null) return { result: "unknown", detail: "could not be tried" };
  return sensitive
    ? ok("names that differ only in case are kept apart")
    : { result: "limited", detail: "names that differ only in case are one; package ids never do" };
}

/** FAT and exFAT fill a file that is made longer with zeros, so there the answer comes from the kind of file system. */
async function probeLargest(
  folder: string,
  type: number,
): Promise<Found & { readonly maxFileBytes: number | null }> {
  const limited = {
    result: "limited",
    detail: `FAT: a file holds at most ${FAT_LARGEST} bytes`,
    maxFileBytes: FAT_LARGEST,
  } as const;
  if (type === FAT) return limited;
  if (type === EXFAT) return { ...ok("exFAT: no limit that matters"), maxFileBytes: null };
  const file = join(folder, "large");
  try {
    await writeFile(file, "");
    await truncate(file, FAT_LARGEST + 2);
    return { ...ok("files beyond 4 GiB can be held"), maxFileBytes: null };
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined) throw error;
    if (code === "EFBIG") return { ...limited, detail: `a file holds at most ${FAT_LARGEST} bytes` };
    return { result: "unknown", detail: `could not be tried (${code})`, maxFileBytes: null };
  } finally {
    await rm(file, { force: true });
  }
}

/** Kept free beside what is sent, for records, folders and the file system's own needs. */
const RESERVE = 1024 * 1024;

/**
 * Throws before anything is sent: VAULT_UNFIT when the place cannot hold the archive safely, DISK_FULL when it has no room.
 * Sizes are bytes; `toSend` is what is still missing when a transfer goes on.
 */
export function assertFits(health: VaultHealth, archiveSize: number, toSend: number = archiveSize): void {
  const { freeBytes, maxFileBytes } = health;
  const failed = health.probes.filter(({ result }) => result === "failed");
  const reachable = !failed.some(({ name }) => name === "reachable");
  if (maxFileBytes !== null && archiveSize > maxFileBytes) {
    throw fail(
      "VAULT_UNFIT",
      `The archive has ${archiveSize} bytes; a file in this vault holds at most ${maxFileBytes}.`,
      "Use a disk that is formatted with exFAT, NTFS, ext4 or APFS, or seal the evidence as several packages.",
      { details: { archiveSize, maxFileBytes } },
    );
  }
  if (freeBytes !== null && toSend + RESERVE > freeBytes) {
    throw fail(
      "DISK_FULL",
      `${toSend + RESERVE} bytes are needed in the vault; ${freeBytes} are free.`,
      "Free some space in the vault, or choose another one. Nothing more was sent.",
      { details: { archiveSize, toSend, freeBytes } },
    );
  }
  if (health.fit) return;
  throw fail(
    reachable ? "VAULT_UNFIT" : "VAULT_UNREACHABLE",
    `The vault cannot hold packages safely: ${failed.map(({ name, detail }) => `${name}: ${detail}`).join("; ")}.`,
    reachable
      ? "Repair what is named, or choose another vault."
      : "Connect the disk or share, then run the same command again.",
    { details: { probes: health.probes } },
  );
}
