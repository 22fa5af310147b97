import { createHash, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import type { z } from "zod";
import type { SignatureCheck } from "../../src-contract/findings.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { canonicalJson } from "../package/canonical-json.ts";
import {
  type Envelope,
  envelopeSchema,
  PAYLOAD_TYPE,
  PREDICATE_TYPE,
  preAuthEncoding,
  SIGNATURE_FILE_NAME,
  type Statement,
  statementSchema,
} from "./dsse.ts";
import { fingerprint, publicKeyDer } from "./signing-key.ts";

/** An envelope has about 1 kB. */
const MAX_ENVELOPE_BYTES = 64 * 1024;

export interface SignatureFile {
  /** `<key fingerprint>-<sha256 of the bytes>.dsse.json` */
  readonly fileName: string;
  readonly bytes: Buffer;
}

/** Signs a package digest with an Ed25519 key: a DSSE envelope over an in-toto Statement, both in canonical JSON. */
export function signPackage(request: {
  /** SHA-256 of seal.json's bytes, hex. */
  readonly packageDigest: string;
  readonly seal: Seal;
  readonly privateKey: KeyObject;
  /** RFC 3339, UTC. */
  readonly time: string;
}): SignatureFile {
  const { packageDigest, seal, privateKey, time } = request;
  const publicKey = publicKeyDer(privateKey);
  const statement: Statement = {
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ name: seal.archive, digest: { sha256: packageDigest } }],
    predicateType: PREDICATE_TYPE,
    predicate: {
      packageId: seal.packageId,
      engagement: seal.engagement,
      time,
      publicKey: publicKey.toString("base64"),
    },
  };
  const payload = Buffer.from(canonicalJson(statement));
  const keyid = fingerprint(publicKey);
  const envelope: Envelope = {
    payload: payload.toString("base64"),
    payloadType: PAYLOAD_TYPE,
    signatures: [
      { keyid, sig: sign(null, preAuthEncoding(PAYLOAD_TYPE, payload), privateKey).toString("base64") },
    ],
  };
  const bytes = Buffer.from(canonicalJson(envelope));
  return { fileName: `${keyid}-${sha256(bytes)}.dsse.json`, bytes };
}

export interface SignatureVerdict {
  readonly check: SignatureCheck;
  /** SubjectPublicKeyInfo, DER, base64; null unless the signature is valid. */
  readonly publicKey: string | null;
  /** What the signer says of the time; null unless the signature is valid. */
  readonly time: string | null;
  /** Why it is invalid, for a person; null when it is valid. */
  readonly problem: string | null;
}

/**
 * Checks one signature file against a package digest. Never throws: whatever is wrong with the bytes makes it invalid.
 * "valid" says that the holder of this key signed this digest; whose key it is and whether it is trusted is decided elsewhere.
 * An invalid check carries the fingerprint that the file name claims, or an empty one when it claims none.
 */
export function verifySignature(
  fileName: string,
  bytes: Uint8Array,
  packageDigest: string,
): SignatureVerdict {
  const claimed = SIGNATURE_FILE_NAME.exec(fileName)?.[1] ?? "";
  try {
    const { publicKey, time } = verifiedPredicate(fileName, bytes, packageDigest);
    const check: SignatureCheck = { fingerprint: claimed, state: "valid", file: fileName };
    return { check, publicKey, time, problem: null };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return {
      check: { fingerprint: claimed, state: "invalid", file: fileName },
      publicKey: null,
      time: null,
      problem,
    };
  }
}

/** Throws an Error that says what is wrong; it stays inside this file. */
function verifiedPredicate(
  fileName: string,
  bytes: Uint8Array,
  packageDigest: string,
): Statement["predicate"] {
  const named = SIGNATURE_FILE_NAME.exec(fileName);
  if (named === null) throw new Error("the file name is not that of a signature");
  if (bytes.length > MAX_ENVELOPE_BYTES)
    throw new Error(`the file has more than ${MAX_ENVELOPE_BYTES} bytes`);
  if (sha256(bytes) !== named[2]) throw new Error("the file's bytes are not those that its name says");
  const envelope = parseCanonical(bytes, envelopeSchema, "the envelope");
  const [signature] = envelope.signatures;
  const payload = Buffer.from(envelope.payload, "base64");
  const statement = parseCanonical(payload, statementSchema, "the statement");
  const [subject] = statement.subject;
  if (subject.digest.sha256 !== packageDigest) throw new Error("it signs another package");
  const der = Buffer.from(statement.predicate.publicKey, "base64");
  if (fingerprint(der) !== named[1] || signature.keyid !== named[1]) {
    throw new Error("the public key is not the one that the file name says");
  }
  const key = createPublicKey({ key: der, format: "der", type: "spki" });
  if (key.asymmetricKeyType !== "ed25519" || !key.export({ format: "der", type: "spki" }).equals(der)) {
    throw new Error("the public key is not an Ed25519 key");
  }
  const signed = preAuthEncoding(envelope.payloadType, payload);
  if (!verify(null, signed, key, Buffer.from(signature.sig, "base64"))) {
    throw new Error("the signature does not fit the key and the statement");
  }
  return statement.predicate;
}

/** Canonical, so that no two readers can see different content in the same signed bytes. */
function parseCanonical<T>(bytes: Uint8Array, schema: z.ZodType<T>, what: string): T {
  const text = Buffer.from(bytes).toString("utf8");
  const parsed = schema.safeParse(parseJson(text, what));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Error(
      `${what} is not of a known form (${issue?.path.join(".")}: ${issue?.message.slice(0, 200)})`,
    );
  }
  if (canonicalJson(parsed.data) !== text) throw new Error(`${what} is not canonical JSON (RFC 8785)`);
  return parsed.data;
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${what} is not JSON`);
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
