import type { Command } from "commander";
import type { ArtifactGetResult } from "../../src-contract/artifacts.ts";
import type { Request } from "../../src-contract/vault-api.ts";
import { type ArtifactOptions, PHASES_HELP, withAudit } from "../artifact-text.ts";
import { warningText } from "../failure-text.ts";
import { examples } from "../help-text.ts";
import { sizeText } from "../human-text.ts";
import { type Session, wantsJson } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { fields } from "../text-layout.ts";
import { fullName, usageFailure } from "../usage.ts";

interface Options extends ArtifactOptions {
  readonly phase: string;
  readonly to: string;
}

function getText(got: ArtifactGetResult): string {
  return `${visible(got.path ?? "")}\n\n${fields([
    ["Size", sizeText(got.size)],
    ["SHA-256", visible(got.sha256)],
    ["Check", got.checked ? "as kept with it" : "none: no SHA-256 is kept with it"],
  ])}`;
}

/** The bytes go to standard output, and nothing else does. */
async function printBytes(
  command: Command,
  session: Session,
  request: Request<"artifactGet">,
): Promise<void> {
  const { output, surroundings } = session;
  const refused =
    (wantsJson(command) && "--json and --to - would both write to standard output.") ||
    (output.resultsAreTerminal && "An artifact's bytes are not shown on a terminal: they could steer it.");
  if (refused !== false) {
    const failure = usageFailure(refused, fullName(command), "--to");
    return await session.fail(wantsJson(command), {
      ...failure,
      nextStep: "Name a folder: --to DIR, or send standard output to a file or a program.",
    });
  }
  const left = new AbortController();
  const outcome = await session.withVault(command, "artifactGet", request, (vault, options) =>
    vault.artifactGet(request, {
      ...options,
      signal: AbortSignal.any([surroundings.signal, left.signal]),
      onContent: async (bytes) => {
        await output.bytes(bytes);
        if (output.closed) left.abort();
      },
    }),
  );
  if (outcome.ok) for (const warning of outcome.warnings ?? []) await output.note(warningText(warning));
  // Whoever closed the pipe knows that not all came.
  else if (left.signal.aborted) session.exitCode = 2;
  else await session.fail(false, outcome.failure);
}

export function define(command: Command, session: Session): void {
  withAudit(command.argument("<name>", "the artifact's name, as 'artifact ls' shows it"))
    .requiredOption("--phase <phase>", "the phase of the audit")
    .requiredOption("--to <dir>", "folder to write to, or - for standard output")
    .addHelpText(
      "after",
      `\nWhat comes is held against the SHA-256 that is kept with it: bytes that differ leave no file. Nothing is overwritten.
On standard output an artifact of up to 16 MiB appears once it was checked; of a larger one the last bytes do, so that one
that differs is cut off. The exit code is 2 then.
${PHASES_HELP}\n${examples(
        "strongroom artifact get --audit acme-2026 --phase 01_recon hosts.json --to ./review",
        "strongroom artifact get --audit acme-2026 --phase 01_recon hosts.json --to - | jq .",
      )}`,
    )
    .action((name: string, { audit, phase, to, vault: named }: Options) => {
      const request = { audit, phase, name, vault: named };
      if (to === "-") return printBytes(command, session, request);
      return session.perform(command, {
        name: "artifactGet",
        request: { ...request, to },
        call: (vault, asked, options) => vault.artifactGet(asked, options),
        text: getText,
      });
    });
}
