import { readFile, stat } from "node:fs/promises";
import type { Finding, SignatureCheck } from "../../src-contract/findings.ts";
import { verifySignature } from "../custody/signature.ts";
import { signatureFiles } from "../package/package-store.ts";
import { sealFinding } from "./seal-rules.ts";

const MAX_SIGNATURE_FILE = 1024 * 1024;

/** Verifies all signatures in a folder against a package digest. Whose keys they are is not judged here. */
export async function checkSignatures(
  folder: string,
  packageDigest: string,
): Promise<{ readonly signatures: readonly SignatureCheck[]; readonly findings: readonly Finding[] }> {
  const signatures: SignatureCheck[] = [];
  const findings: Finding[] = [];
  for (const { name, path } of await signatureFiles(folder)) {
    const { size } = await stat(path);
    const bytes = size > MAX_SIGNATURE_FILE ? Buffer.alloc(0) : await readFile(path);
    const { check, problem } = verifySignature(name, bytes, packageDigest);
    signatures.push(check);
    if (problem !== null) findings.push(sealFinding("SIGNATURE", { path: name, what: problem }));
  }
  return { signatures, findings };
}
