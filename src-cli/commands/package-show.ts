import type { Command } from "commander";
import type { PackageDetail } from "../../src-contract/vault-api.ts";
import { examples } from "../help-text.ts";
import { amountText, sizeText, timeText } from "../human-text.ts";
import { packageFields } from "../package-text.ts";
import type { Paint } from "../paint.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { fields, table } from "../text-layout.ts";

function detailText(detail: PackageDetail, paint: Paint): string {
  const { manifest, seal } = detail;
  let text = `${paint("strong", visible(detail.id))}\n\n`;
  text += fields([
    ...packageFields(detail),
    ["Last verified", detail.lastVerified === null ? "never on this device" : timeText(detail.lastVerified)],
    ["Parts", `${amountText(seal.parts.length, "part")} of ${sizeText(seal.partSize)}`],
    ["Folder", detail.folder === null ? null : visible(detail.folder)],
    ["Producer", manifest.producer === undefined ? null : visible(manifest.producer)],
    ["Subject", manifest.subject === undefined ? null : visible(manifest.subject)],
    ["Sealed on", `${visible(manifest.device)}, ${visible(manifest.program)}`],
    [
      "Signatures",
      detail.signatures.length === 0 ? "none" : amountText(detail.signatures.length, "signature"),
    ],
  ]);
  const metadata = Object.entries(manifest.metadata);
  if (metadata.length > 0) {
    text += `\n  Metadata\n${fields(
      metadata.map(([key, value]) => [visible(key), visible(value)] as const),
      "    ",
    )}`;
  }
  text += `\n  Sources\n${fields(
    manifest.sources.map((source) => [visible(source.name), visible(source.path)] as const),
    "    ",
  )}`;
  for (const signature of detail.signatures) {
    text += `\n  Signature ${signature.state === "valid" ? "valid" : "INVALID"}, key ${visible(signature.fingerprint)}\n`;
  }
  const checks = table(
    detail.fixity,
    [
      { heading: "    CHECKED", cell: (check) => `    ${timeText(check.time)}` },
      { heading: "VERDICT", cell: (check) => check.verdict },
      { heading: "ERRORS", cell: (check) => String(check.errors), side: "right" },
      { heading: "METHOD", cell: (check) => visible(check.method) },
      { heading: "TARGET", cell: (check) => visible(check.target) },
    ],
    "    none yet",
  );
  return `${text}\n  Fixity checks\n${checks}`;
}

export function define(command: Command, session: Session): void {
  command
    .argument("<package>", "package id, or its first characters")
    .addHelpText(
      "after",
      examples("strongroom package show 0197f3a2", "strongroom package show 0197f3a2 --json"),
    )
    .action((reference: string) =>
      session.perform(command, {
        name: "packageShow",
        request: { package: reference },
        call: (vault, request) => vault.packageShow(request),
        text: detailText,
      }),
    );
}
