import type { BackupResult } from "../src-contract/vault-api.ts";
import { amountText } from "./human-text.ts";
import { visible } from "./terminal-text.ts";

/** What a backup holds or a restore brought back, and what lies in neither. */
export function backupText(heading: string, result: BackupResult): string {
  let text = `${heading} ${visible(result.folder)}\n\n`;
  const { length } = result.packages;
  text += `  The ledger and ${length === 0 ? "no package: all that are whole here are in a vault" : amountText(length, "package")}\n`;
  for (const id of result.packages) text += `    ${visible(id)}\n`;
  if (result.notHeld.length > 0) {
    const these = amountText(result.notHeld.length, "reference package");
    text += `\n  Without the evidence of ${these}: it lies only in the source folders\n`;
    for (const id of result.notHeld) text += `    ${visible(id)}\n`;
  }
  return text;
}
