import type { Command } from "commander";

/** The options that every command about artifacts has. */
export interface ArtifactOptions {
  readonly audit: string;
  readonly vault?: string;
}

export const PHASES_HELP = `
Phases: 01_recon, 02_scanning, 03_planning and 04_execution, also as reconnaissance, scanning, planning and execution; other names as they are.
Without --vault it is the vault of the engagement with the audit's id.`;

export function withAudit(command: Command): Command {
  return command
    .requiredOption("--audit <id>", "the audit: an engagement's id, or that of another program")
    .option("--vault <name>", "the vault, if not that of the engagement");
}
