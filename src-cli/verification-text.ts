import { assertNever, type Failure } from "../src-contract/failure.ts";
import type { RemoteProof, VerificationMethod, VerificationReport } from "../src-contract/findings.ts";
import { findingsText, findingTotals } from "./findings-text.ts";
import { amountText, durationText, sizeText } from "./human-text.ts";
import type { Paint } from "./paint.ts";
import { visible } from "./terminal-text.ts";
import { fields } from "./text-layout.ts";

const COULD_NOT_BE_VERIFIED = "COULD NOT BE VERIFIED";
const NOT_VALID = "NOT VALID";

/** The verdict line where there is no report: some packages are so wrong that nothing in them can be compared. */
export function failedVerdict(failure: Failure): string {
  return failure.code === "NOT_VALID" ? NOT_VALID : COULD_NOT_BE_VERIFIED;
}

const UNFINISHED =
  "what could be read was held against its manifests, and is as they say; the rest was not read";

/** What a verification did, as a sentence that claims no more than it did. */
function methodText(method: VerificationMethod): string {
  switch (method) {
    case "bag":
      return "every file was read and compared with the bag's manifests; there is no seal";
    case "sealed archive":
      return "every part of the archive was read; its headers and manifests were compared; no file's digest was computed again (--full does)";
    case "sealed archive, full":
      return "every part of the archive was read, and every file's digest computed again";
    case "sealed bag":
      return "every file of the unpacked bag was read and held against the seal";
    case "reference sources":
      return "the source files were read again and held against the seal";
    case "stored archive":
      return "every part of the archive in the vault was read and held against the seal, and what lies beside it";
    case "attested by the store":
      return "what the store says of the archive was compared; no byte of it was read";
    case "looked up in the vault":
      return "the archive was looked up in the vault; no byte of it was read";
    default:
      return assertNever(method);
  }
}

function banner(report: VerificationReport, paint: Paint): string {
  const target = visible(report.target);
  switch (report.verdict) {
    case "valid":
      return `${paint("good", report.proof === undefined ? "VALID" : "VERIFIED")}  ${target}\n\n`;
    case "not valid":
      return `${paint("bad", NOT_VALID)}  ${target}\n\n`;
    case "not verified":
      return `${paint("doubtful", COULD_NOT_BE_VERIFIED)}  ${target}\n\n`;
    case "attested":
      return `${paint("doubtful", "ATTESTED")}  ${target}\n\n`;
    default:
      return assertNever(report.verdict);
  }
}

function signaturesText({ signatures, sealed, method }: VerificationReport): string | null {
  if (readNothing(method)) return "not looked at";
  if (signatures.length > 0) {
    const invalid = signatures.filter((signature) => signature.state === "invalid").length;
    return `${amountText(signatures.length, "signature")}${invalid === 0 ? ", all valid" : `, ${invalid} INVALID`}`;
  }
  return sealed ? "none: nobody signed this package" : null;
}

function readNothing(method: VerificationMethod): boolean {
  return method === "attested by the store" || method === "looked up in the vault";
}

/** What was read: files where they were looked at, else the archive's bytes, else nothing. */
function contentText({ method, counts }: VerificationReport): string | null {
  if (readNothing(method)) return null;
  const files = method === "stored archive" ? [] : [amountText(counts.files, "file")];
  const parts = counts.parts === undefined ? [] : [amountText(counts.parts, "part")];
  return [...files, sizeText(counts.bytes), ...parts].join(", ");
}

function methodLine({ verdict, method, proof }: VerificationReport): string {
  return verdict === "not verified" && proof === undefined ? UNFINISHED : methodText(method);
}

/** What the verdict on a package in a vault rests on, and what it leaves open. */
function proofText({ proven, notProven }: RemoteProof): string {
  const list = (heading: string, sentences: readonly string[]) =>
    sentences.length === 0
      ? ""
      : `\n  ${heading}\n${sentences.map((sentence) => `    ${visible(sentence)}\n`).join("")}`;
  return list("Proven", proven) + list("Not proven", notProven);
}

/** The report of a verification: verdict first, then what was done, then findings by code, then signatures. */
export function* verificationText(report: VerificationReport, paint: Paint): Generator<string> {
  const { counts } = report;
  yield banner(report, paint);
  yield fields([
    ["Method", methodLine(report)],
    ["Package", report.packageId === undefined ? null : visible(report.packageId)],
    ["Package digest", report.packageDigest === undefined ? null : visible(report.packageDigest)],
    ["BagIt version", report.bagitVersion === undefined ? null : visible(report.bagitVersion)],
    ["Content", contentText(report)],
    ["Findings", findingTotals(counts.errors, counts.warnings)],
    ["Signatures", signaturesText(report)],
    ["Took", durationText(Date.parse(report.finished) - Date.parse(report.started))],
  ]);
  if (report.proof !== undefined) yield proofText(report.proof);
  yield* findingsText(report.findings, paint);
  if (report.signatures.length > 0) yield "\n  Signed by\n";
  for (const signature of report.signatures) {
    const state = signature.state === "valid" ? paint("good", "valid  ") : paint("bad", "INVALID");
    yield `    ${state}  key ${visible(signature.fingerprint)}\n             ${visible(signature.file)}\n`;
  }
}
