import type { BackupResult } from "../src-contract/vault-api.ts";
import { amountText } from "./human-text.ts";
import { visible } from "./terminal-text.ts";

/** What a backup holds or a restore brought back, and what lies in neither. */
export function backupText(heading: string, result: BackupResult): string {
  let text = `${heading} ${visible(result.folder)}\n\n`;
  text += `  The ledger and ${amountText(result.packages.length, "package")}\n`;
  for (const id of result.packages) text += `    ${visible(id)}\n`;
  if (result.notHeld.length > 0) {
    text += `\n  Not included: ${amountText(result.notHeld.length, "reference package")}, whose evidence lies only in its source folders\n`;
    for (const id of result.notHeld) text += `    ${visible(id)}\n`;
  }
  return text;
}
