import type { Command } from "commander";
import type { SyncedEngagement, SyncResult } from "../../src-contract/vault-api.ts";
import { warningText } from "../failure-text.ts";
import { examples } from "../help-text.ts";
import { countText } from "../human-text.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { type Column, table } from "../text-layout.ts";

const COLUMNS: readonly Column<SyncedEngagement>[] = [
  { heading: "ENGAGEMENT", cell: ({ engagement }) => visible(engagement) },
  { heading: "VAULT", cell: ({ vault }) => visible(vault) },
  { heading: "SENT", cell: ({ sent }) => countText(sent), side: "right" },
  { heading: "NEW", cell: ({ added }) => countText(added.length), side: "right" },
  { heading: "STORED", cell: ({ stored }) => (stored === null ? "?" : countText(stored)), side: "right" },
  { heading: "PROBLEMS", cell: ({ problems }) => countText(problems), side: "right" },
  { heading: "RESULT", cell: ({ failure }) => (failure === null ? "synced" : "not synced") },
];

function* syncText({ engagements }: SyncResult): Generator<string> {
  yield table(engagements, COLUMNS, "Nothing to sync.");
  for (const { engagement, failure } of engagements) {
    if (failure === null) continue;
    const message = `Engagement ${engagement} was not synced to its end: ${failure.message}`;
    yield `\n${warningText({ ...failure, message })}`;
  }
}

export function define(command: Command, session: Session): void {
  command
    .argument("[engagement]", "only this engagement")
    .addHelpText(
      "after",
      `\nSends what is queued, and learns which packages are in the vault: they can then be listed, searched and exported offline.
Exit code 0: all were synced. 2: at least one was not.\n${examples(
        "strongroom sync",
        "strongroom sync acme-2026",
        "strongroom engagement create acme-2026 --vault office     on another device, before its first sync",
      )}`,
    )
    .action((engagement: string | undefined) =>
      session.perform(command, {
        name: "sync",
        request: { engagement },
        call: (vault, request, options) => vault.sync(request, options),
        text: syncText,
        judge: ({ engagements }) => (engagements.every(({ failure }) => failure === null) ? 0 : 2),
      }),
    );
}
