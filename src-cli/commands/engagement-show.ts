import type { Command } from "commander";
import { examples } from "../help-text.ts";
import { countText, sizeText, timeText } from "../human-text.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { fields } from "../text-layout.ts";

export function define(command: Command, session: Session): void {
  command
    .argument("<id>", "the engagement's id")
    .addHelpText("after", examples("strongroom engagement show acme-2026"))
    .action((id: string) =>
      session.perform(command, {
        name: "engagementShow",
        request: { id },
        call: (vault, request) => vault.engagementShow(request),
        text: (engagement, paint) =>
          `${paint("strong", visible(engagement.id))}\n\n${fields([
            ["Name", visible(engagement.name)],
            ["Client", engagement.client === null ? null : visible(engagement.client)],
            ["Vault", engagement.vault === null ? "none" : visible(engagement.vault)],
            ["Packages", `${countText(engagement.packages)}, archives of ${sizeText(engagement.bytes)}`],
            ["Created", timeText(engagement.created)],
          ])}`,
      }),
    );
}
