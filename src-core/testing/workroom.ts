import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Failure, Outcome } from "../../src-contract/failure.ts";
import type { VerificationReport } from "../../src-contract/findings.ts";
import type { PackageSummary, Request } from "../../src-contract/vault-api.ts";
import { type OpenedVault, openVault } from "../open-vault.ts";

/** The value of an outcome that must be one; a failure fails the test with all it says. */
export function valueIn<T>(outcome: Outcome<T>): T {
  if (outcome.ok) return outcome.value;
  throw new Error(`unexpected failure: ${JSON.stringify(outcome.failure)}`);
}

export function failureIn(outcome: Outcome<unknown>): Failure {
  if (!outcome.ok) return outcome.failure;
  throw new Error(`should have failed: ${JSON.stringify(outcome.value)}`);
}

/** Codes of findings in a report, without repetition, sorted. */
export function codesOf(report: Pick<VerificationReport, "findings">): string[] {
  return [...new Set(report.findings.map(({ code }) => code))].sort();
}

/** A folder of its own with an open state folder in it and one engagement. */
export class Workroom {
  static readonly ENGAGEMENT = "acme-2026";
  readonly folder: string;
  readonly home: string;
  readonly vault: OpenedVault;

  private constructor(folder: string, home: string, vault: OpenedVault) {
    this.folder = folder;
    this.home = home;
    this.vault = vault;
  }

  static async open(): Promise<Workroom> {
    const folder = mkdtempSync(join(tmpdir(), "strongroom-test-"));
    const home = join(folder, "home");
    const vault = valueIn(await openVault({ home }));
    valueIn(await vault.engagementCreate({ id: Workroom.ENGAGEMENT, client: "Acme" }));
    return new Workroom(folder, home, vault);
  }

  /** A room in which `ev` is there to be sealed: a small file, a larger one and an empty one. */
  static async withEvidence(): Promise<Workroom> {
    const room = await Workroom.open();
    room.write("ev/a.txt", "alpha");
    room.write("ev/b.txt", "beta".repeat(1000));
    room.write("ev/empty", "");
    return room;
  }

  /** Another person's empty state folder, in the same folder. */
  async openOther(name: string): Promise<OpenedVault> {
    return valueIn(await openVault({ home: this.path(name) }));
  }

  path(...segments: readonly string[]): string {
    return join(this.folder, ...segments);
  }

  write(path: string, content: string | Uint8Array): string {
    const file = this.path(path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  }

  async build(
    source: string,
    more: Partial<Request<"packageBuild">> = {},
  ): Promise<PackageSummary & { readonly folder: string }> {
    const built = valueIn(
      await this.vault.packageBuild({
        engagement: Workroom.ENGAGEMENT,
        sources: [this.path(source)],
        name: "site-a",
        ...more,
      }),
    );
    if (built.package === null) throw new Error("a dry run makes no package");
    return { ...built.package, folder: join(this.home, "packages", built.package.id) };
  }

  async verify(target: string, more: Partial<Request<"verify">> = {}): Promise<VerificationReport> {
    return valueIn(await this.vault.verify({ target, ...more }));
  }

  /** A folder vault, and the engagement's packages go there. */
  async addVault(vault: OpenedVault = this.vault): Promise<string> {
    mkdirSync(this.path("vault"), { recursive: true });
    valueIn(await vault.vaultAddFolder({ name: "stick", path: this.path("vault") }));
    valueIn(await vault.engagementSetVault({ id: Workroom.ENGAGEMENT, vault: "stick" }));
    return this.path("vault");
  }

  /** Names in packages/: sealed packages, and drafts that should not be there. */
  packages(): string[] {
    return readdirSync(join(this.home, "packages"));
  }

  async close(): Promise<void> {
    await this.vault.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** All files under a folder by relative path, sorted. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}
