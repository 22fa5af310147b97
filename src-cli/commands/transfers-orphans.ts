import { type Command, Option } from "commander";
import type { OrphanUpload } from "../../src-contract/transfers.ts";
import { parseAge } from "../amount-option.ts";
import { examples } from "../help-text.ts";
import { amountText, sizeText, timeText } from "../human-text.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";

interface Options {
  readonly vault?: string;
  readonly abort?: boolean;
  readonly olderThan?: number;
}

function entryText({ vault, key, begun, bytes, ours, dropped }: OrphanUpload): string {
  const facts = [
    visible(vault),
    begun === null ? "age not known" : `since ${timeText(begun)}`,
    sizeText(bytes),
    ...(ours ? ["of a transfer that is over here"] : []),
    ...(dropped ? ["dropped"] : []),
  ];
  return `${visible(key)}\n  ${facts.join(", ")}\n`;
}

function* orphansText(orphans: readonly OrphanUpload[], abort: boolean): Generator<string> {
  if (orphans.length === 0) yield "No upload is left over in the vaults.\n";
  for (const orphan of orphans) yield entryText(orphan);
  if (orphans.length === 0) return;
  const dropped = orphans.filter((orphan) => orphan.dropped).length;
  if (abort) {
    const left = orphans.length - dropped;
    yield `\n${amountText(dropped, "upload")} dropped${left === 0 ? "" : `; ${left} kept, which may be under way elsewhere (--older-than)`}.\n`;
  } else {
    yield `\n${amountText(orphans.length, "upload")} that no unfinished transfer of this device knows. Drop the old ones with --abort.\n`;
  }
}

export function define(command: Command, session: Session): void {
  command
    .option("--vault <name>", "only this vault; else all of this device")
    .option("--abort", "drop those that are older than --older-than")
    .addOption(
      new Option(
        "--older-than <age>",
        "another device may be busy with a younger one (default: 24h)",
      ).argParser(parseAge),
    )
    .addHelpText(
      "after",
      `
Uploads that were begun and never completed: by programs that were killed, devices
that were lost. Stores charge for them. What is stored is never touched.
${examples("strongroom transfers orphans", "strongroom transfers orphans --abort", "strongroom transfers orphans --vault lake --abort --older-than 7d")}`,
    )
    .action(({ vault: name, abort, olderThan }: Options) =>
      session.perform(command, {
        name: "transfersOrphans",
        request: { vault: name, abort: abort === true, olderThan },
        call: (vault, request, options) => vault.transfersOrphans(request, options),
        text: (orphans) => orphansText(orphans, abort === true),
      }),
    );
}
