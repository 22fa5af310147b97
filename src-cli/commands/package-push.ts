import type { Command } from "commander";
import type { PushResult } from "../../src-contract/vault-api.ts";
import { examples } from "../help-text.ts";
import { sizeText } from "../human-text.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { fields } from "../text-layout.ts";

/** How the archive in the vault was checked; a way that has no sentence here is named as it is. */
function checkText({ method, alreadyStored }: PushResult): string {
  const done =
    method === "read back" ? "every byte was read back from the vault and was as sealed" : visible(method);
  return alreadyStored ? `not now; the record of its storing says: ${done}` : done;
}

export function define(command: Command, session: Session): void {
  command
    .argument("<package>", "package id, or its first characters")
    .addHelpText(
      "after",
      examples(
        "strongroom package push 0197f3a2",
        "strongroom package push 0197f3a2    again after a crash: goes on where it stopped",
      ),
    )
    .action((reference: string) =>
      session.perform(command, {
        name: "packagePush",
        request: { package: reference },
        call: (vault, request, options) => vault.packagePush(request, options),
        text: (pushed) =>
          `${pushed.alreadyStored ? "Already stored" : "Stored"} in vault ${visible(pushed.vault)}\n\n${fields(
            [
              ["Package", visible(pushed.package)],
              ["Size", sizeText(pushed.bytes)],
              ["Check", checkText(pushed)],
            ],
          )}`,
      }),
    );
}
