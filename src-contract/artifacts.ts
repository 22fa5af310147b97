import { z } from "zod";
import type { Outcome } from "./failure.ts";
import { WINDOWS_DEVICE_NAME } from "./formats.ts";
import { isWellFormed, localPathSchema, NOT_UNICODE, vaultNameSchema } from "./names.ts";
import type { CallOptions } from "./progress.ts";

/** The phases of the Audit Lake layout by the name of their folder, and the word by which a person knows each. */
const AUDIT_PHASES = {
  "01_recon": "reconnaissance",
  "02_scanning": "scanning",
  "03_planning": "planning",
  "04_execution": "execution",
} as const;

/** Also by the name without its number: whoever says `recon` means `01_recon`, and should not begin a second folder. */
const FOLDER_OF_PHASE = new Map(
  Object.entries(AUDIT_PHASES).flatMap(([folder, word]) =>
    [folder, folder.slice(3), word].map((name) => [name, folder] as const),
  ),
);

const segmentSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/,
    "use 1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-', beginning with a letter or digit",
  )
  .refine((name) => !name.endsWith("."), "must not end in a dot")
  .refine((name) => !WINDOWS_DEVICE_NAME.test(name), "is a Windows device name");

/** The audit that artifacts belong to: an engagement's id, or one of another program. */
const auditIdSchema = segmentSchema;

/** A phase as the name of its folder: a known one by its name or its word, in upper or lower case; others as they are. */
const auditPhaseSchema = z
  .string()
  .transform((phase) => FOLDER_OF_PHASE.get(phase.toLowerCase()) ?? phase)
  .pipe(segmentSchema);

/** With the names that a folder vault needs beside it, such a name still fits into the 255 bytes that file systems allow. */
const MOST_NAME_BYTES = 200;

/** TextEncoder is in every face, and in none of the types that all of them share. */
function utf8Bytes(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return bytes;
}

/** The name of an artifact that is put: one that every kind of vault and every system can hold. */
export const artifactNameSchema = z
  .string()
  .min(1, "must not be empty")
  .refine((name) => utf8Bytes(name) <= MOST_NAME_BYTES, `must have at most ${MOST_NAME_BYTES} bytes in UTF-8`)
  .refine(isWellFormed, NOT_UNICODE)
  .refine(
    (name) => !/[\p{Cc}/\\:*?"<>|]/u.test(name),
    'must not hold / \\ : * ? " < > | or control characters',
  )
  .refine((name) => !/^[. ]|[. ]$/.test(name), "must not begin or end with a dot or a space")
  .refine((name) => !WINDOWS_DEVICE_NAME.test(name), "is a Windows device name");

/** The name of an artifact that is asked for, whoever put it there: what follows the phase in its key. */
const artifactPathSchema = z
  .string()
  .min(1, "must not be empty")
  .max(900, "must have at most 900 characters")
  .refine(
    (path) =>
      !path.includes("\0") &&
      path.split("/").every((segment) => segment !== "" && segment !== "." && segment !== ".."),
    "is not the name of an artifact",
  );

/** Parsers of the requests about artifacts; part of `requestSchemas`. */
export const artifactRequestSchemas = {
  artifactPut: z.strictObject({
    audit: auditIdSchema,
    phase: auditPhaseSchema,
    /** Absent when the bytes come with the call (`PutOptions.content`). */
    file: localPathSchema.optional(),
    /** By default the file's own. */
    name: artifactNameSchema.optional(),
    /** By default that of the engagement with the audit's id. */
    vault: vaultNameSchema.optional(),
  }),
  artifactGet: z.strictObject({
    audit: auditIdSchema,
    phase: auditPhaseSchema,
    name: artifactPathSchema,
    /** A folder; absent when the caller takes the bytes (`GetOptions.onContent`). */
    to: localPathSchema.optional(),
    vault: vaultNameSchema.optional(),
  }),
  artifactList: z.strictObject({
    audit: auditIdSchema,
    phase: auditPhaseSchema.optional(),
    vault: vaultNameSchema.optional(),
    /** Ask for the digest of each, also where that takes a request each. */
    digests: z.boolean().default(false),
  }),
} as const;

interface Artifact {
  readonly audit: string;
  /** The name of its folder. */
  readonly phase: string;
  readonly name: string;
  /** In the vault. */
  readonly key: string;
  readonly vault: string;
  /** Bytes. */
  readonly size: number;
  /** SHA-256, lower-case hex, as it is kept with the artifact; null when none is kept, or it was not asked for. */
  readonly sha256: string | null;
}

export interface ListedArtifact extends Artifact {
  /** Since when it is there, RFC 3339, UTC; null where the vault does not tell. */
  readonly stored: string | null;
}

export interface ArtifactPutResult extends Artifact {
  readonly sha256: string;
  readonly mediaType: string;
  /** True when these very bytes were there before. */
  readonly alreadyStored: boolean;
}

export interface ArtifactGetResult extends Artifact {
  /** What was written, absolute; null when the bytes were handed to the caller. */
  readonly path: string | null;
  /** SHA-256 of the bytes that came, lower-case hex. */
  readonly sha256: string;
  /** Whether it was held against the digest that is kept with the artifact. */
  readonly checked: boolean;
}

/** Options of a put whose bytes are no file: they are read once, to their end. */
export interface PutOptions extends CallOptions {
  readonly content?: AsyncIterable<Uint8Array>;
}

/**
 * Options of a get that writes no file. Bytes of an artifact of at most 16 MiB come once all of them were checked. Those of a larger one come as they
 * are read, the last of them after the check: whoever needs all of them never has wrong ones.
 */
export interface GetOptions extends CallOptions {
  readonly onContent?: (bytes: Uint8Array) => Promise<void>;
}

type ArtifactRequest<N extends keyof typeof artifactRequestSchemas> = z.input<
  (typeof artifactRequestSchemas)[N]
>;

/** The calls about artifacts; part of `VaultApi`. */
export interface ArtifactApi {
  artifactPut(
    request: ArtifactRequest<"artifactPut">,
    options?: PutOptions,
  ): Promise<Outcome<ArtifactPutResult>>;
  artifactGet(
    request: ArtifactRequest<"artifactGet">,
    options?: GetOptions,
  ): Promise<Outcome<ArtifactGetResult>>;
  artifactList(
    request: ArtifactRequest<"artifactList">,
    options?: CallOptions,
  ): Promise<Outcome<readonly ListedArtifact[]>>;
}
