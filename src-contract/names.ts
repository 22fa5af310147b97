import { z } from "zod";
import { WINDOWS_DEVICE_NAME } from "./formats.ts";

/** An engagement's id: a slug that is safe as a folder name, a bucket name part and an object key. */
export const engagementIdSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{1,62}$/, "use 2 to 63 of a-z, 0-9 and -, beginning with a letter or digit")
  .refine((id) => !WINDOWS_DEVICE_NAME.test(id), "is a Windows device name");

/** A package's name: the archive's file name and its top folder. Free text belongs in the title. */
export const packageNameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$/,
    "use 1 to 80 of A-Z, a-z, 0-9, '.', '_' and '-', beginning with a letter or digit; free text goes in the title",
  )
  .refine((name) => !name.endsWith("."), "must not end in a dot")
  .refine((name) => !WINDOWS_DEVICE_NAME.test(name), "is a Windows device name");

export const vaultNameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
    "use 1 to 63 of A-Z, a-z, 0-9, '.', '_' and '-', beginning with a letter or digit",
  );

export const NOT_UNICODE = "must be valid Unicode";

/** String.prototype.isWellFormed, which the oldest browsers of the faces do not have. */
export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

/** A file or folder of this device. */
export const localPathSchema = z
  .string()
  .min(1, "must not be empty")
  .refine((path) => !path.includes("\0"), "must not hold a NUL character")
  .refine((path) => isWellFormed(path), NOT_UNICODE);

/** A package id is a UUID of version 7 (RFC 9562, section 5.7), in lower case. */
export const packageIdSchema = z
  .string()
  .regex(
    /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    "must be a UUID of version 7 in lower case",
  );

export const sha256HexSchema = z
  .string()
  .regex(/^[0-9a-f]{64}$/, "must be a SHA-256 digest in lower-case hex");
export const sha512HexSchema = z
  .string()
  .regex(/^[0-9a-f]{128}$/, "must be a SHA-512 digest in lower-case hex");

/** Slugs that classify: retention class and phase. */
export const retentionClassSchema = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9_-]{0,62}$/,
    "use 1 to 63 of a-z, 0-9, '_' and '-', beginning with a letter or digit",
  );
export const phaseSchema = retentionClassSchema;

/** A bucket of S3: 3 to 63 of a-z, 0-9, '.' and '-' (Amazon S3 User Guide, "General purpose bucket naming rules"). */
export const bucketSchema = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
    "use 3 to 63 of a-z, 0-9, '.' and '-', beginning and ending with a letter or digit",
  );
/** A prefix within a bucket, without `/` at either end. */
export const keyPrefixSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9!_.*'()-]+(\/[A-Za-z0-9!_.*'()-]+)*$/,
    "use letters, digits and !_.*'()-, separated by single '/'",
  )
  .max(512, "must have at most 512 characters")
  .refine(
    (prefix) => !prefix.split("/").some((part) => part === "." || part === ".."),
    "must not hold . or ..",
  );
