import type { Command } from "commander";
import type { ArtifactPutResult } from "../../src-contract/artifacts.ts";
import { type ArtifactOptions, PHASES_HELP, withAudit } from "../artifact-text.ts";
import { examples } from "../help-text.ts";
import { sizeText } from "../human-text.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { fields } from "../text-layout.ts";

interface Options extends ArtifactOptions {
  readonly phase: string;
  readonly name?: string;
}

function putText(put: ArtifactPutResult): string {
  return `${put.alreadyStored ? "Already stored, with these very bytes," : "Stored"} in vault ${visible(put.vault)}\n\n${fields(
    [
      ["Key", visible(put.key)],
      ["Size", sizeText(put.size)],
      ["SHA-256", visible(put.sha256)],
      ["Media type", visible(put.mediaType)],
    ],
  )}`;
}

export function define(command: Command, session: Session): void {
  withAudit(command.argument("<file>", "a file, or - for standard input"))
    .requiredOption("--phase <phase>", "the phase of the audit")
    .option("--name <name>", "its name in the vault, if not the file's own; needed for standard input")
    .addHelpText(
      "after",
      `\nIts SHA-256 is kept with it and checked by 'artifact get'. Nothing stored is rewritten: the same bytes again are a success,
other bytes under its name are refused. What comes from standard input cannot be resumed.
${PHASES_HELP}\n${examples(
        "strongroom artifact put --audit acme-2026 --phase 01_recon hosts.json",
        "nmap -oX - 10.0.0.0/24 | strongroom artifact put --audit acme-2026 --phase scanning - --name nmap.xml",
      )}`,
    )
    .action((file: string, { audit, phase, name, vault: named }: Options) => {
      const common = { audit, phase, name, vault: named };
      return session.perform(command, {
        name: "artifactPut",
        request: file === "-" ? common : { ...common, file },
        call: (vault, request, options) =>
          vault.artifactPut(
            request,
            file === "-" ? { ...options, content: session.surroundings.input() } : options,
          ),
        text: putText,
      });
    });
}
