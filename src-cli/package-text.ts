import type { PackageSummary } from "../src-contract/vault-api.ts";
import { amountText, countText, sizeText, timeText } from "./human-text.ts";
import { visible } from "./terminal-text.ts";
import type { Column } from "./text-layout.ts";

/** Where a package's bytes are, in words. */
function holdingText(summary: PackageSummary): string {
  const here = {
    held: "on this device",
    reference: "sealed, not held (by reference: the bytes are in the source folders)",
    remote: "not on this device",
  };
  const nowhere = summary.holding === "remote" ? "not in its vault any more" : "in no vault yet";
  const stored = summary.storedIn === null ? nowhere : `stored in vault ${visible(summary.storedIn)}`;
  return `${here[summary.holding]}; ${stored}`;
}

/** The lines that every view of one package begins with. */
export function packageFields(summary: PackageSummary): (readonly [string, string | null])[] {
  const orNone = (text: string | null) => (text === null ? null : visible(text));
  return [
    ["Name", visible(summary.name)],
    ["Title", orNone(summary.title)],
    ["Engagement", visible(summary.engagement)],
    ["Phase", orNone(summary.phase)],
    ["Retention class", orNone(summary.retentionClass)],
    ["Sealed", timeText(summary.sealed)],
    ["Content", `${amountText(summary.files, "file")}, ${sizeText(summary.payloadSize)}`],
    ["Archive", sizeText(summary.archiveSize)],
    ["Held", holdingText(summary)],
    ["Package digest", visible(summary.packageDigest)],
  ];
}

/** The columns of a list of packages. */
export const PACKAGE_COLUMNS: readonly Column<PackageSummary>[] = [
  { heading: "ID", cell: (summary) => visible(summary.id) },
  { heading: "NAME", cell: (summary) => visible(summary.name) },
  { heading: "ENGAGEMENT", cell: (summary) => visible(summary.engagement) },
  { heading: "FILES", cell: (summary) => countText(summary.files), side: "right" },
  { heading: "CONTENT", cell: (summary) => sizeText(summary.payloadSize), side: "right" },
  {
    heading: "HERE",
    cell: (summary) => ({ held: "yes", reference: "sources", remote: "no" })[summary.holding],
  },
  { heading: "VAULT", cell: (summary) => visible(summary.storedIn ?? "-") },
  { heading: "SEALED", cell: (summary) => timeText(summary.sealed) },
  {
    heading: "VERIFIED",
    cell: (summary) => (summary.lastVerified === null ? "-" : timeText(summary.lastVerified)),
  },
];
