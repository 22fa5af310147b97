import { createHash } from "node:crypto";
import { basename, dirname } from "node:path";
import { assertNever } from "../../src-contract/failure.ts";
import type { CallOptions, CancelSignal } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import type { ExportFormat } from "../../src-contract/vault-api.ts";
import { openFileSource } from "../archive/file-source.ts";
import { countProgress } from "../bag/report-progress.ts";
import { createFileDurably } from "../durable-files.ts";
import { asFailure, type FailureError, fail, systemCode, throwIfCancelled } from "../failing.ts";
import { type Manifest, readManifest } from "../package/manifest-reader.ts";
import type { RangeSource } from "../ports.ts";
import { bagitText, sha256sumText } from "./checksum-list.ts";
import { csvText } from "./csv.ts";
import { htmlText } from "./html.ts";

const READ_BYTES = 1024 * 1024;

export interface ManifestExport {
  /** manifest.json: a file, or a source that stays open. */
  readonly manifest: string | RangeSource;
  readonly seal: Seal;
  /** SHA-256 of seal.json's bytes, hex. */
  readonly packageDigest: string;
  readonly format: ExportFormat;
  /** A file that does not exist yet. */
  readonly out: string;
}

export interface ExportedManifest {
  readonly files: number;
  /** SHA-256 of the written file, hex. */
  readonly sha256: string;
}

/**
 * Writes the manifest in another form. What is exported is what was sealed: the manifest's bytes are held against the seal first
 * (DIGEST_MISMATCH). Nothing is overwritten (PATH_EXISTS), and the file is there whole or not at all; memory is bounded for any
 * number of files.
 */
export async function exportManifest(
  request: ManifestExport,
  options: CallOptions = {},
): Promise<ExportedManifest> {
  const { format, out, seal, packageDigest } = request;
  const opened =
    typeof request.manifest === "string" ? await openFileSource(request.manifest) : request.manifest;
  const subject = typeof request.manifest === "string" ? request.manifest : "manifest.json";
  try {
    await holdAgainstSeal(opened, seal, subject, options.signal);
    const manifest = counted(await readManifest(opened, { signal: options.signal, subject }), options);
    const hash = createHash("sha256");
    const text = exportedText(format, manifest, opened, seal, packageDigest, options.signal);
    await createFileDurably(out, hashed(text, hash, options.signal)).catch((error: unknown) => {
      throw systemCode(error) === "ENOENT" ? folderMissing(out, error) : asFailure(error, out);
    });
    return { files: manifest.header.fileCount, sha256: hash.digest("hex") };
  } finally {
    if (opened !== request.manifest) await opened.close();
  }
}

function folderMissing(out: string, cause: unknown): FailureError {
  return fail(
    "PATH_NOT_FOUND",
    `The folder ${dirname(out)} does not exist, so ${basename(out)} cannot be written there.`,
    "Make the folder, or name a file in one that exists.",
    { subject: out, cause },
  );
}

function exportedText(
  format: ExportFormat,
  manifest: Manifest,
  source: RangeSource,
  seal: Seal,
  packageDigest: string,
  signal: CancelSignal | undefined,
): AsyncGenerator<string | Uint8Array> {
  switch (format) {
    case "json":
      return manifestBytes(manifest, source, signal);
    case "csv":
      return csvText(manifest);
    case "sha256sum":
      return sha256sumText(manifest);
    case "bagit":
      return bagitText(manifest);
    case "html":
      return htmlText(manifest, seal, packageDigest);
    default:
      return assertNever(format);
  }
}

/** The manifest as it is, once a whole pass has found it sound. */
async function* manifestBytes(
  manifest: Manifest,
  source: RangeSource,
  signal: CancelSignal | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const _ of manifest.files()) throwIfCancelled(signal);
  yield* bytesOf(source, signal);
}

async function* bytesOf(source: RangeSource, signal: CancelSignal | undefined): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  for (let offset = 0; offset < source.size; ) {
    const piece = buffer.subarray(0, Math.min(READ_BYTES, source.size - offset));
    await source.read(offset, piece, signal);
    yield piece;
    offset += piece.length;
  }
}

async function holdAgainstSeal(
  source: RangeSource,
  seal: Seal,
  subject: string,
  signal: CancelSignal | undefined,
): Promise<void> {
  const hash = createHash("sha256");
  for await (const piece of bytesOf(source, signal)) {
    throwIfCancelled(signal);
    hash.update(piece);
  }
  const actual = hash.digest("hex");
  if (actual === seal.manifestSha256) return;
  throw fail(
    "DIGEST_MISMATCH",
    `${subject} is not the manifest that was sealed.`,
    "Verify the package; get it again from its vault if it is damaged.",
    { subject, details: { expected: seal.manifestSha256, actual } },
  );
}

/** The same manifest; each pass over it is reported as progress. */
function counted(manifest: Manifest, options: CallOptions): Manifest {
  const { header } = manifest;
  async function* batches() {
    const progress = countProgress("write manifest", "files", header.fileCount, options);
    for await (const batch of manifest.batches()) {
      yield batch;
      if (batch.list === "files") progress.add(batch.entries.length);
    }
    progress.finish();
  }
  async function* files() {
    for await (const batch of batches()) if (batch.list === "files") yield batch.entries;
  }
  return { header, batches, files };
}

async function* hashed(
  text: AsyncIterable<string | Uint8Array>,
  hash: ReturnType<typeof createHash>,
  signal: CancelSignal | undefined,
): AsyncGenerator<string | Uint8Array> {
  for await (const piece of text) {
    throwIfCancelled(signal);
    hash.update(piece);
    yield piece;
  }
}
