import type { Command } from "commander";
import type { ListedArtifact } from "../../src-contract/artifacts.ts";
import { type ArtifactOptions, PHASES_HELP, withAudit } from "../artifact-text.ts";
import { examples } from "../help-text.ts";
import { sizeText, timeText } from "../human-text.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { type Column, table } from "../text-layout.ts";

interface Options extends ArtifactOptions {
  readonly phase?: string;
  readonly digests?: boolean;
}

const COLUMNS: readonly Column<ListedArtifact>[] = [
  { heading: "PHASE", cell: ({ phase }) => visible(phase) },
  { heading: "NAME", cell: ({ name }) => visible(name) },
  { heading: "SIZE", cell: ({ size }) => sizeText(size), side: "right" },
  { heading: "STORED", cell: ({ stored }) => (stored === null ? "-" : timeText(stored)) },
];
const DIGEST: Column<ListedArtifact> = { heading: "SHA-256", cell: ({ sha256 }) => sha256 ?? "-" };

export function define(command: Command, session: Session): void {
  withAudit(command)
    .option("--phase <phase>", "only this phase of the audit")
    .option("--digests", "show each SHA-256 also where it takes a request each (S3)")
    .addHelpText(
      "after",
      `${PHASES_HELP}\n${examples(
        "strongroom artifact ls --audit acme-2026",
        "strongroom artifact ls --audit acme-2026 --phase reconnaissance --digests",
      )}`,
    )
    .action(({ audit, phase, vault: named, digests }: Options) =>
      session.perform(command, {
        name: "artifactList",
        request: { audit, phase, vault: named, digests },
        call: (vault, request, options) => vault.artifactList(request, options),
        text: (artifacts) =>
          table(
            artifacts,
            artifacts.some(({ sha256 }) => sha256 !== null) ? [...COLUMNS, DIGEST] : COLUMNS,
            `No artifacts of audit ${visible(audit)}${phase === undefined ? "" : ` in phase ${visible(phase)}`}.`,
          ),
      }),
    );
}
