import { type Command, Option } from "commander";
import type { TransferSummary } from "../../src-contract/transfers.ts";
import type { PushResult } from "../../src-contract/vault-api.ts";
import { limitOf, parseRate, parseWhole, type Rate } from "../amount-option.ts";
import { examples } from "../help-text.ts";
import { sizeText } from "../human-text.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { fields } from "../text-layout.ts";
import { shortId, whatText } from "../transfer-text.ts";

/** How the archive in the vault was checked; a way that has no sentence here is named as it is. */
function checkText({ method, alreadyStored }: PushResult): string {
  const done =
    method === "read back" ? "every byte was read back from the vault and was as sealed" : visible(method);
  return alreadyStored ? `not now; the record of its storing says: ${done}` : done;
}

interface Options {
  readonly detach?: boolean;
  readonly priority?: number;
  readonly limit?: Rate;
}

function storedText(pushed: PushResult): string {
  const heading = `${pushed.alreadyStored ? "Already stored" : "Stored"} in vault ${visible(pushed.vault)}`;
  return `${heading}\n\n${fields([
    ["Package", visible(pushed.package)],
    ["Size", sizeText(pushed.bytes)],
    ["Check", checkText(pushed)],
  ])}`;
}

function queuedText(transfer: TransferSummary): string {
  const by = transfer.process === null ? "the agent sends it" : `process ${transfer.process.pid} sends it`;
  return `Queued: ${whatText(transfer)}, ${sizeText(transfer.bytesTotal ?? 0)}; ${by}. Transfer ${shortId(transfer)}\n`;
}

export function define(command: Command, session: Session): void {
  command
    .argument("<package>", "package id, or its first characters")
    .option("--detach", "leave it to a running agent and return at once")
    .option("--priority <number>", "from -100 to 100; higher goes first", parseWhole)
    .addOption(
      new Option("--limit <rate>", "such as 5MiB (per second), or off; for this run alone")
        .argParser(parseRate)
        .conflicts("detach"),
    )
    .addHelpText(
      "after",
      examples(
        "strongroom package push 0197f3a2",
        "strongroom package push 0197f3a2    again after a crash: goes on where it stopped",
        "strongroom package push 0197f3a2 --detach    a running 'strongroom agent' sends it",
        "strongroom package push 0197f3a2 --limit 2MiB",
      ),
    )
    .action((reference: string, { detach, priority, limit }: Options) =>
      detach === true
        ? session.perform(command, {
            name: "packageQueue",
            request: { package: reference, priority },
            call: (vault, request) => vault.packageQueue(request),
            text: queuedText,
          })
        : session.perform(command, {
            name: "packagePush",
            request: { package: reference, priority, limit: limitOf(limit) },
            call: (vault, request, options) => vault.packagePush(request, options),
            text: storedText,
          }),
    );
}
