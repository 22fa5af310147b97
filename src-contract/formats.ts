/** Constants of package format 1 (docs/package-format.md), apart from the schemas, so that a thread that only writes need not load those. */
export const MANIFEST_FORMAT = "strongroom-manifest/1";
export const SEAL_FORMAT = "strongroom-seal/1";
export const ARCHIVE_LAYOUT = 1;
/** S3's own limit, and so the limit of every part plan (S3 User Guide, "Amazon S3 multipart upload limits"). */
export const MAX_PARTS = 10_000;

/** Device names that Windows reserves, with or without an extension (Microsoft, "Naming Files, Paths, and Namespaces"). */
export const WINDOWS_DEVICE_NAME = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i;
