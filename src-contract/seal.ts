import { z } from "zod";
import { ARCHIVE_LAYOUT, MAX_PARTS, SEAL_FORMAT } from "./formats.ts";
import { engagementIdSchema, packageIdSchema, packageNameSchema, sha256HexSchema } from "./names.ts";

/** What a reader accepts as part size: any multiple of 512 bytes up to S3's largest part, 5 GiB. The rule for writers is in docs/package-format.md. */
const MAX_PART_SIZE = 5 * 1024 ** 3;

/**
 * seal.json: fixes the archive's bytes. Unknown fields are refused, since a reader that ignored one could call valid what is not.
 * Sizes are bytes; `parts[i]` is the SHA-256 of archive bytes [i*partSize, min((i+1)*partSize, archiveSize)).
 */
export const sealSchema = z
  .strictObject({
    format: z.literal(SEAL_FORMAT),
    packageId: packageIdSchema,
    engagement: engagementIdSchema,
    archive: z
      .string()
      .refine((file) => file.endsWith(".tar") && packageNameSchema.safeParse(file.slice(0, -4)).success, {
        message: "must be a package name followed by .tar",
      }),
    archiveLayout: z.literal(ARCHIVE_LAYOUT),
    digestAlgorithm: z.literal("sha256"),
    archiveSize: z.number().int().min(1024).max(Number.MAX_SAFE_INTEGER),
    partSize: z.number().int().min(512).max(MAX_PART_SIZE).multipleOf(512),
    parts: z.array(sha256HexSchema).min(1).max(MAX_PARTS),
    manifestSha256: sha256HexSchema,
    tagmanifestSha256: sha256HexSchema,
    archiveSha256: sha256HexSchema.optional(),
    encryption: z.null(),
  })
  .refine((seal) => seal.parts.length === Math.ceil(seal.archiveSize / seal.partSize), {
    message: "number of parts does not fit archiveSize and partSize",
    path: ["parts"],
  });

export type Seal = z.infer<typeof sealSchema>;
