import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { SEAL_FORMAT } from "../../src-contract/formats.ts";
import { type Seal, sealSchema } from "../../src-contract/seal.ts";
import { type FailureError, fail } from "../failing.ts";
import { canonicalJson } from "./canonical-json.ts";

/** 10,000 parts of 67 bytes make 670 kB; what is larger is no seal, and need not be read. */
export const MAX_SEAL_BYTES = 4 * 1024 * 1024;

/**
 * Reads seal.json. Throws SEAL_INVALID naming the first unknown format, field or value, and for bytes that are not canonical:
 * two readers must never see different seals in the same bytes.
 */
export function parseSeal(bytes: Uint8Array): Seal {
  if (bytes.length > MAX_SEAL_BYTES)
    throw invalid(`it has ${bytes.length} bytes, more than ${MAX_SEAL_BYTES}`);
  if (!isUtf8(bytes)) throw invalid("it is not UTF-8");
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8");
  const value = parseJson(text);
  if (typeof value !== "object" || value === null) throw invalid("it is not a JSON object");
  const format: unknown = Reflect.get(value, "format");
  if (format !== SEAL_FORMAT) {
    throw invalid(
      format === undefined
        ? "it names no format"
        : `format ${typeof format === "string" ? JSON.stringify(format.slice(0, 100)) : `of type ${typeof format}`} is not known to this version, which reads "${SEAL_FORMAT}"`,
    );
  }
  const parsed = sealSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const field = issue?.path.join(".") ?? "";
    throw invalid(
      `${field === "" ? "" : `${field}: `}${issue?.message.slice(0, 300) ?? "a value is unknown"}`,
    );
  }
  if (canonicalJson(value) !== text) {
    throw invalid(
      "its bytes are not the canonical form (RFC 8785): it was edited or written by another program",
    );
  }
  return parsed.data;
}

/** What people quote, sign and approve: SHA-256 of seal.json's bytes, hex. */
export function packageDigest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid("it is not JSON");
  }
}

function invalid(what: string): FailureError {
  return fail(
    "SEAL_INVALID",
    `seal.json cannot be accepted: ${what}.`,
    "Get the seal again from whoever sealed the package, or use a newer Strongroom.",
  );
}
