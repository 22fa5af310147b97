import type { Command } from "commander";
import type { Failure } from "../../src-contract/failure.ts";
import type { VerificationReport } from "../../src-contract/findings.ts";
import { examples } from "../help-text.ts";
import type { ExitCode, Session } from "../session.ts";
import { failedVerdict, verificationText } from "../verification-text.ts";

interface Options {
  readonly seal?: string;
  readonly full?: boolean;
  readonly remote?: boolean;
  readonly acceptAttested?: boolean;
}

/** An attestation is the store's word, not a verification: it passes only for a user who asked for that. */
function judge(report: VerificationReport, acceptAttested: boolean): ExitCode | Failure {
  if (report.verdict === "not valid") return 1;
  if (report.verdict === "not verified") return 2;
  if (report.verdict === "valid" || acceptAttested) return 0;
  return {
    code: "ATTESTED_ONLY",
    message: "The store attests this package, but its bytes were not read.",
    nextStep: "Add --full to read every byte of it, or --accept-attested to take the store's word.",
    subject: report.target,
    details: { report },
  };
}

export function define(command: Command, session: Session): void {
  command
    .argument("<target>", "bag folder, .tar, .tar.gz, .zip, or package id")
    .option("--seal <file>", "the seal to hold it against, when it does not lie beside it")
    .option("--full", "compute every file's digest again, besides the archive's parts")
    .option("--remote", "what the vault holds: by its own record; with --full by reading every byte")
    .option("--accept-attested", "with --remote: take the store's own record as good enough")
    .addHelpText(
      "after",
      `\nExit code 0: valid. 1: not valid. 2: could not be verified, or attested only.\n${examples(
        "strongroom verify ./review/fieldwork-week-1",
        "strongroom verify fieldwork-week-1.tar --full",
        "strongroom verify 0197f3a2",
        "strongroom verify 0197f3a2 --remote --full",
        "strongroom verify 0197f3a2 --remote --accept-attested",
      )}`,
    )
    .action((target: string, { seal, full, remote, acceptAttested }: Options) =>
      session.perform(command, {
        name: "verify",
        request: { target, seal, full, remote },
        call: (vault, request, options) => vault.verify(request, options),
        judge: (report) => judge(report, acceptAttested === true),
        text: verificationText,
        failureHeading: failedVerdict,
      }),
    );
}
