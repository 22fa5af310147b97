import type { Command } from "commander";
import { examples } from "../help-text.ts";
import { countText, sizeText, timeText } from "../human-text.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { table } from "../text-layout.ts";

export function define(command: Command, session: Session): void {
  command
    .addHelpText("after", examples("strongroom engagement list", "strongroom engagement list --json"))
    .action(() =>
      session.perform(command, {
        name: "engagementList",
        request: {},
        call: (vault, request) => vault.engagementList(request),
        text: (engagements) =>
          table(
            engagements,
            [
              { heading: "ID", cell: (engagement) => visible(engagement.id) },
              { heading: "NAME", cell: (engagement) => visible(engagement.name) },
              { heading: "CLIENT", cell: (engagement) => visible(engagement.client ?? "-") },
              { heading: "VAULT", cell: (engagement) => visible(engagement.vault ?? "-") },
              { heading: "PACKAGES", cell: (engagement) => countText(engagement.packages), side: "right" },
              { heading: "ARCHIVES", cell: (engagement) => sizeText(engagement.bytes), side: "right" },
              { heading: "CREATED", cell: (engagement) => timeText(engagement.created) },
            ],
            "No engagements yet. Begin one: strongroom engagement create <id>",
          ),
      }),
    );
}
