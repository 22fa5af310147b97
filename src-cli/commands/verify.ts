import type { Command } from "commander";
import type { Failure } from "../../src-contract/failure.ts";
import type { VerificationReport } from "../../src-contract/findings.ts";
import { examples } from "../help-text.ts";
import { type ExitCode, type Session, wantsJson } from "../session.ts";
import { fullName, usageFailure } from "../usage.ts";
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
    .option("--remote", "in its vault: by what the store says of it; with --full by reading every byte there")
    .option("--accept-attested", "with --remote: take the store's word as good enough")
    .addHelpText(
      "after",
      `\nVERIFIED and VALID mean that bytes were read. ATTESTED means that the store says so: its SHA-256 is the seal's, or
the object is the one that was recorded; what was proven and what was not stands in the report.
Exit code 0: valid. 1: not valid. 2: could not be verified, or attested only.\n${examples(
        "strongroom verify ./review/fieldwork-week-1",
        "strongroom verify fieldwork-week-1.tar --full",
        "strongroom verify 0197f3a2",
        "strongroom verify 0197f3a2 --remote --full",
        "strongroom verify 0197f3a2 --remote --accept-attested",
      )}`,
    )
    .action(async (target: string, { seal, full, remote, acceptAttested }: Options) => {
      if (acceptAttested === true && remote !== true) {
        const message = "--accept-attested is for --remote: without it the bytes are read in any case.";
        return await session.fail(
          wantsJson(command),
          usageFailure(message, fullName(command), "--accept-attested"),
        );
      }
      await session.perform(command, {
        name: "verify",
        request: { target, seal, full, remote },
        call: (vault, request, options) => vault.verify(request, options),
        judge: (report) => judge(report, acceptAttested === true),
        text: verificationText,
        failureHeading: failedVerdict,
      });
    });
}
