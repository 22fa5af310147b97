import { readFile, stat } from "node:fs/promises";
import type { Finding, SignatureCheck } from "../../src-contract/findings.ts";
import { verifySignature } from "../custody/signature.ts";
import { signatureFiles } from "../package/package-store.ts";
import { sealFinding } from "./seal-rules.ts";

const MAX_SIGNATURE_FILE = 1024 * 1024;

interface CheckedSignatures {
  readonly signatures: readonly SignatureCheck[];
  readonly findings: readonly Finding[];
}

/** Verifies all signatures in a folder against a package digest. Whose keys they are is not judged here. */
export async function checkSignatures(folder: string, packageDigest: string): Promise<CheckedSignatures> {
  const envelopes: Envelope[] = [];
  for (const { name, path } of await signatureFiles(folder)) {
    const { size } = await stat(path);
    envelopes.push({ name, bytes: size > MAX_SIGNATURE_FILE ? Buffer.alloc(0) : await readFile(path) });
  }
  return checkEnvelopes(envelopes, packageDigest);
}

interface Envelope {
  /** File name. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** As `checkSignatures`, for envelopes that are in no folder. */
export function checkEnvelopes(envelopes: readonly Envelope[], packageDigest: string): CheckedSignatures {
  const signatures: SignatureCheck[] = [];
  const findings: Finding[] = [];
  for (const { name, bytes } of envelopes) {
    const { check, problem } = verifySignature(name, bytes, packageDigest);
    signatures.push(check);
    if (problem !== null) findings.push(sealFinding("SIGNATURE", { path: name, what: problem }));
  }
  return { signatures, findings };
}
