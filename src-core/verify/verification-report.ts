import type {
  Finding,
  RemoteProof,
  SignatureCheck,
  VerificationMethod,
  VerificationReport,
} from "../../src-contract/findings.ts";
import type { Core } from "../core.ts";
import { appendEvent } from "../custody/custody-log.ts";
import { sealedHere } from "../package/build-journal.ts";
import { rfc3339FromMs } from "../package/times.ts";
import type { FoundSeal } from "./find-target.ts";

/** What was found out of a target. */
export interface Verified {
  readonly method: VerificationMethod;
  readonly findings: readonly Finding[];
  readonly files: number;
  readonly bytes: number;
  readonly parts?: number;
  readonly bagitVersion?: string;
  /** Where the findings alone do not tell it. */
  readonly verdict?: VerificationReport["verdict"];
  readonly proof?: RemoteProof;
}

/** Makes the report of a verification. That of a package with a seal is kept, with its time, in the ledger and the custody log. */
export function reportOf(
  core: Core,
  target: string,
  done: {
    readonly started: string;
    readonly verified: Verified;
    readonly seal: Pick<FoundSeal, "seal" | "digest"> | null;
    readonly signatures: readonly SignatureCheck[];
  },
): VerificationReport {
  const { verified, seal, signatures } = done;
  const { findings } = verified;
  const errors = findings.filter((finding) => finding.severity === "error");
  const report: VerificationReport = {
    target,
    verdict: verified.verdict ?? verdictOf(errors),
    method: verified.method,
    ...(seal === null ? {} : { packageId: seal.seal.packageId, packageDigest: seal.digest }),
    sealed: seal !== null,
    ...(verified.bagitVersion === undefined ? {} : { bagitVersion: verified.bagitVersion }),
    counts: {
      files: verified.files,
      bytes: verified.bytes,
      ...(verified.parts === undefined ? {} : { parts: verified.parts }),
      errors: errors.length,
      warnings: findings.length - errors.length,
    },
    findings,
    signatures,
    ...(verified.proof === undefined ? {} : { proof: verified.proof }),
    started: done.started,
    finished: rfc3339FromMs(core.clock.now()),
  };
  if (seal !== null) keepResult(core, report, seal);
  return report;
}

/** What was not read speaks neither for a package nor against it. */
function verdictOf(errors: readonly Finding[]): VerificationReport["verdict"] {
  if (errors.length === 0) return "valid";
  return errors.every(({ code }) => code === "FILE_UNREADABLE") ? "not verified" : "not valid";
}

function keepResult(
  core: Core,
  report: VerificationReport,
  { seal, digest }: Pick<FoundSeal, "seal" | "digest">,
): void {
  core.ledger
    .transaction(() => {
      core.ledger
        .prepare(
          "INSERT INTO fixity_checks (package_id, package_digest, time, verdict, method, target, errors) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .run(
          seal.packageId,
          digest,
          report.finished,
          report.verdict,
          report.method,
          report.target,
          report.counts.errors,
        );
      appendEvent(core.ledger, {
        time: report.finished,
        type: "fixity-checked",
        packageId: seal.packageId,
        engagement: seal.engagement,
        details: {
          packageDigest: digest,
          verdict: report.verdict,
          method: report.method,
          errors: report.counts.errors,
        },
      });
    })
    .immediate();
}

/** A package sealed elsewhere is verified in full once: only then has this device seen that its seal does not lie about its files. */
export function isKnown(core: Core, { seal, digest }: Pick<FoundSeal, "seal" | "digest">): boolean {
  if (sealedHere(core, seal.packageId, digest)) return true;
  const row = core.ledger
    .prepare<[string], { n: number }>(
      "SELECT count(*) AS n FROM fixity_checks WHERE package_digest = ? AND verdict = 'valid' AND method = 'sealed archive, full'",
    )
    .get(digest);
  return (row?.n ?? 0) > 0;
}
