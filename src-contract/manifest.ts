import { z } from "zod";
import { MANIFEST_FORMAT } from "./formats.ts";
import {
  engagementIdSchema,
  packageIdSchema,
  packageNameSchema,
  phaseSchema,
  retentionClassSchema,
  sha256HexSchema,
  sha512HexSchema,
} from "./names.ts";

/** RFC 3339 in UTC with up to nine digits of fraction. */
const utcTimeSchema = z
  .string()
  .regex(/^-?\d{4,6}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/, "must be an RFC 3339 time in UTC");

/** One payload file, one line of manifest.json. */
export const fileRecordSchema = z.strictObject({
  /** Path inside the bag, `data/...`, as found on disk (no percent-encoding, no normalisation). */
  path: z.string().startsWith("data/"),
  /** Bytes. */
  size: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER),
  sha256: sha256HexSchema,
  sha512: sha512HexSchema.optional(),
  /** Archive offset of the first content byte (after the tar header). */
  offset: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER),
  /** Media type by content; where content says nothing, by name. */
  mediaType: z.string().max(255),
  /** Present only when the name promises another type than the content shows. */
  mediaTypeByName: z.string().max(255).optional(),
  modified: utcTimeSchema,
  source: z
    .strictObject({
      born: utcTimeSchema.optional(),
      /** `uid:gid` as numbers. */
      owner: z.string().optional(),
      /** Permission bits, four octal digits. */
      mode: z.string().optional(),
      /** Raw bytes of a name that is not valid Unicode, hex. */
      rawPath: z.string().optional(),
    })
    .optional(),
});
export type FileRecord = z.infer<typeof fileRecordSchema>;

/** What the user's folder held and the package does not, each with its reason. */
export const omissionSchema = z.strictObject({
  path: z.string(),
  reason: z.enum(["symlink", "special-file", "litter"]),
});
export type Omission = z.infer<typeof omissionSchema>;

/** Everything in manifest.json but its lists. */
export const manifestHeaderSchema = z.strictObject({
  format: z.literal(MANIFEST_FORMAT),
  packageId: packageIdSchema,
  name: packageNameSchema,
  title: z.string().optional(),
  engagement: engagementIdSchema,
  producer: z.string().optional(),
  subject: z.string().optional(),
  phase: phaseSchema.optional(),
  retentionClass: retentionClassSchema.optional(),
  created: utcTimeSchema,
  sealed: utcTimeSchema,
  device: z.string(),
  program: z.string(),
  /** The files and folders that the user picked: name under data/, absolute path on the sealing device. */
  sources: z.array(z.strictObject({ name: z.string(), path: z.string() })),
  /** Open, string values. Known keys: run_id, source_commits, tool_versions, environment. */
  metadata: z.record(z.string(), z.string()),
  fileCount: z.number().int().nonnegative(),
  /** Sum of the payload files' sizes, bytes. */
  payloadSize: z.number().int().nonnegative(),
});
export type ManifestHeader = z.infer<typeof manifestHeaderSchema>;
