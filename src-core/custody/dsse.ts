import { z } from "zod";
import { engagementIdSchema, packageIdSchema, sha256HexSchema } from "../../src-contract/names.ts";
import { sealSchema } from "../../src-contract/seal.ts";

export const PAYLOAD_TYPE = "application/vnd.in-toto+json";
/** `<key fingerprint>-<sha256 of the envelope>.dsse.json`, both in hex: the name cannot be reused for other bytes. */
export const SIGNATURE_FILE_NAME = /^([0-9a-f]{64})-([0-9a-f]{64})\.dsse\.json$/;

export const PREDICATE_TYPE = "https://strongroom.dev/seal/v1";

const base64Schema = z
  .string()
  .refine(
    (text) => Buffer.from(text, "base64").toString("base64") === text,
    "must be base64 (RFC 4648, section 4)",
  );

/** A DSSE envelope (DSSE 1.0.2) with one signature: the file is named after its one key. */
export const envelopeSchema = z.strictObject({
  payload: base64Schema,
  payloadType: z.literal(PAYLOAD_TYPE),
  signatures: z.tuple([
    z.strictObject({
      /** SHA-256 of the public key (SubjectPublicKeyInfo, DER), hex. */
      keyid: sha256HexSchema,
      sig: base64Schema,
    }),
  ]),
});
export type Envelope = z.infer<typeof envelopeSchema>;

/** What is signed: an in-toto Statement v1 about one archive. The subject's digest is the package digest, not the archive's. */
export const statementSchema = z.strictObject({
  _type: z.literal("https://in-toto.io/Statement/v1"),
  subject: z.tuple([
    z.strictObject({ name: sealSchema.shape.archive, digest: z.strictObject({ sha256: sha256HexSchema }) }),
  ]),
  predicateType: z.literal(PREDICATE_TYPE),
  predicate: z.strictObject({
    packageId: packageIdSchema,
    engagement: engagementIdSchema,
    /** The signer's clock, RFC 3339, UTC: a claim, not a proof. */
    time: z.iso.datetime(),
    /** SubjectPublicKeyInfo, DER, base64: an envelope carries the key, `keyid` being only a hint in DSSE. */
    publicKey: base64Schema,
  }),
});
export type Statement = z.infer<typeof statementSchema>;

/** The bytes that are signed: DSSE's pre-authentication encoding, "DSSEv1 LEN(type) type LEN(body) body". */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}
