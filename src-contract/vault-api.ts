import { z } from "zod";
import { type ArtifactApi, artifactRequestSchemas } from "./artifacts.ts";
import type { Failure, Outcome } from "./failure.ts";
import type { Finding, SignatureCheck, VerificationReport } from "./findings.ts";
import type { FileRecord, ManifestHeader } from "./manifest.ts";
import {
  bucketSchema,
  engagementIdSchema,
  isWellFormed,
  keyPrefixSchema,
  localPathSchema,
  NOT_UNICODE,
  packageNameSchema,
  phaseSchema,
  retentionClassSchema,
  vaultNameSchema,
} from "./names.ts";
import type { CallOptions } from "./progress.ts";
import type { Seal } from "./seal.ts";
import {
  bandwidthSchema,
  prioritySchema,
  type TransferApi,
  type TransferSummary,
  transferRequestSchemas,
} from "./transfers.ts";

const EMPTY = "must not be empty";
const atMost = (longest: number) => `must have at most ${longest} characters`;

/** A package id, whole or shortened to a unique prefix of at least four characters. */
const packageRefSchema = z
  .string()
  .regex(/^[0-9a-f][0-9a-f-]{3,35}$/i, "must be a package id, or its first characters (four or more)");
/** Free text: no half characters, which no file of a package can hold. */
const textSchema = (longest: number) =>
  z.string().trim().min(1, EMPTY).max(longest, atMost(longest)).refine(isWellFormed, NOT_UNICODE);

export const EXPORT_FORMATS = ["json", "csv", "sha256sum", "bagit", "html"] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** No user or password in it: secrets belong in the keychain. */
const endpointSchema = z
  .string()
  .max(2048, atMost(2048))
  .refine(
    (text) => ENDPOINT.test(text),
    "must be http:// or https:// with a host, an optional port and nothing more",
  );
const ENDPOINT = /^https?:\/\/([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?\/?$/;

/** Credentials by reference: AWS's environment variables, or a profile of its files by a name that the AWS SDK reads. */
export const credentialReferenceSchema = z
  .string()
  .regex(/^(env|profile:[\w@+.%:/-]{1,200})$/, "must be env or profile:NAME");

/** Where a vault's credentials come from: the secret, which goes to the keychain, or `env` or `profile:NAME` by reference. */
const credentialFields = {
  accessKeyId: z
    .string()
    .regex(/^[\w+/=.:@-]{1,512}$/, "is not an access key id")
    .optional(),
  secretAccessKey: z.string().min(1, EMPTY).max(4096, atMost(4096)).optional(),
  sessionToken: z.string().min(1, EMPTY).max(65_536, atMost(65_536)).optional(),
  credentials: credentialReferenceSchema.optional(),
};

/** One parser per request; every face hands core only what passed here. */
export const requestSchemas = {
  engagementCreate: z.strictObject({
    id: engagementIdSchema,
    name: textSchema(200).optional(),
    client: textSchema(200).optional(),
    vault: vaultNameSchema.optional(),
  }),
  engagementSetVault: z.strictObject({ id: engagementIdSchema, vault: vaultNameSchema }),
  engagementList: z.strictObject({}),
  engagementShow: z.strictObject({ id: engagementIdSchema }),
  packageBuild: z.strictObject({
    engagement: engagementIdSchema,
    sources: z.array(localPathSchema).min(1, "name at least one file or folder"),
    name: packageNameSchema,
    title: textSchema(500).optional(),
    producer: textSchema(200).optional(),
    subject: textSchema(500).optional(),
    /** Further manifests beside sha256, which is always there. */
    digest: z.enum(["sha256", "sha512"]).default("sha256"),
    retentionClass: retentionClassSchema.optional(),
    phase: phaseSchema.optional(),
    metadata: z
      .record(
        z
          .string()
          .min(1, EMPTY)
          .max(200, `the key ${atMost(200)}`)
          .refine(isWellFormed, NOT_UNICODE),
        z
          .string()
          .max(10_000, `the value ${atMost(10_000)}`)
          .refine(isWellFormed, NOT_UNICODE),
      )
      .default({}),
    mode: z.enum(["copy", "reference"]).default("copy"),
    dryRun: z.boolean().default(false),
    /** Take OS litter (.DS_Store, Thumbs.db, ._*) along instead of leaving it out. */
    includeLitter: z.boolean().default(false),
    /** Store names that are not valid Unicode under `_nonutf8/<hex>` instead of refusing them. */
    storeNonUnicode: z.boolean().default(false),
    /** An encrypted PKCS#8 Ed25519 key to sign with. */
    keyFile: localPathSchema.optional(),
    keyPassphrase: z.string().optional(),
  }),
  packageList: z.strictObject({ engagement: engagementIdSchema.optional() }),
  packageShow: z.strictObject({ package: packageRefSchema }),
  packageFiles: z.strictObject({
    package: packageRefSchema,
    /** Part of a path, compared without regard to case. */
    search: z.string().max(500, atMost(500)).optional(),
    offset: z.number().int().nonnegative().default(0),
    limit: z.number().int().min(1).max(10_000).default(1000),
  }),
  packagePush: z.strictObject({
    package: packageRefSchema,
    priority: prioritySchema.optional(),
    /** For this run alone, instead of the kept limit; null for none. */
    limit: bandwidthSchema.optional(),
  }),
  /** Leaves a push to a worker. */
  packageQueue: z.strictObject({ package: packageRefSchema, priority: prioritySchema.optional() }),
  packagePull: z.strictObject({
    package: packageRefSchema,
    to: localPathSchema,
    /** One payload path (`data/...`) instead of the whole package. */
    file: z.string().min(1, EMPTY).optional(),
    as: z.enum(["bag", "tar"]).default("bag"),
    /** For this run alone, instead of the kept limit; null for none. */
    limit: bandwidthSchema.optional(),
  }),
  ...transferRequestSchemas,
  ...artifactRequestSchemas,
  packageImport: z.strictObject({ path: localPathSchema }),
  packageHandover: z.strictObject({ package: packageRefSchema, to: localPathSchema }),
  verify: z.strictObject({
    /** A bag folder, an archive, or a package id. */
    target: localPathSchema,
    /** seal.json to hold the target against, when it does not lie beside it. */
    seal: localPathSchema.optional(),
    full: z.boolean().default(false),
    remote: z.boolean().default(false),
  }),
  manifestExport: z.strictObject({
    package: packageRefSchema,
    format: z.enum(EXPORT_FORMATS),
    /** A file that does not exist yet. */
    out: localPathSchema,
  }),
  vaultAddFolder: z.strictObject({ name: vaultNameSchema, path: localPathSchema }),
  vaultAddS3: z.strictObject({
    name: vaultNameSchema,
    bucket: bucketSchema,
    /** `https://host[:port]`; absent for Amazon's own. */
    endpoint: endpointSchema.optional(),
    region: z
      .string()
      .regex(/^[a-z0-9-]{1,64}$/, "use a-z, 0-9 and -")
      .default("us-east-1"),
    prefix: keyPrefixSchema.optional(),
    /** Bucket in the path instead of the host name; by default for endpoints other than Amazon's. */
    pathStyle: z.boolean().optional(),
    storageClass: z
      .string()
      .regex(/^[A-Z0-9_]{1,64}$/, "use a storage class such as STANDARD_IA")
      .optional(),
    encryption: z.enum(["none", "AES256", "aws:kms"]).default("none"),
    kmsKey: z
      .string()
      .min(1, EMPTY)
      .max(2048, atMost(2048))
      .regex(
        /^[!-~]*$/,
        "use the key's id, ARN or alias: letters, digits and signs of ASCII, no spaces or line breaks",
      )
      .optional(),
    ...credentialFields,
  }),
  /** Replaces a vault's credentials, such as an expired session token. */
  vaultSetCredentials: z.strictObject({ name: vaultNameSchema, ...credentialFields }),
  vaultList: z.strictObject({}),
  /** What is known on this device; the vault itself is not asked. */
  vaultShow: z.strictObject({ name: vaultNameSchema }),
  vaultHealth: z.strictObject({ name: vaultNameSchema }),
  /** One engagement, or all that have a vault. */
  sync: z.strictObject({ engagement: engagementIdSchema.optional() }),
  backup: z.strictObject({ to: localPathSchema }),
  restore: z.strictObject({ from: localPathSchema }),
} as const;

/** A call of `VaultApi` that takes a request. */
export type RequestName = keyof typeof requestSchemas;
/** What a caller passes: fields with a default may be left out. */
export type Request<N extends RequestName> = z.input<(typeof requestSchemas)[N]>;
/** What core receives after parsing. */
export type ParsedRequest<N extends RequestName> = z.output<(typeof requestSchemas)[N]>;

export interface Engagement {
  readonly id: string;
  readonly name: string;
  readonly client: string | null;
  readonly vault: string | null;
  readonly created: string;
  readonly packages: number;
  readonly bytes: number;
}

export interface PackageSummary {
  readonly id: string;
  readonly name: string;
  readonly title: string | null;
  readonly engagement: string;
  readonly phase: string | null;
  readonly retentionClass: string | null;
  /** `held`: the archive is on this device. `reference`: sealed, not held. `remote`: in the vault only. */
  readonly holding: "held" | "reference" | "remote";
  /** Name of the vault that holds it by the last look; null where none does, or does not any more. */
  readonly storedIn: string | null;
  /** When its bytes were last read, wherever, and found to be the sealed ones; null when this device never did. An attestation is no such time. */
  readonly lastVerified: string | null;
  readonly files: number;
  readonly payloadSize: number;
  readonly archiveSize: number;
  readonly sealed: string;
  /** SHA-256 of seal.json's bytes: what people quote, sign and approve. */
  readonly packageDigest: string;
}

export interface FixityRecord {
  readonly time: string;
  readonly verdict: VerificationReport["verdict"];
  readonly method: string;
  readonly target: string;
  readonly errors: number;
}

export interface PackageDetail extends PackageSummary {
  readonly manifest: ManifestHeader;
  readonly seal: Seal;
  readonly signatures: readonly SignatureCheck[];
  readonly fixity: readonly FixityRecord[];
  /** Where the archive lies, for a held package. */
  readonly folder: string | null;
}

export interface PreflightReport {
  readonly files: number;
  readonly bytes: number;
  readonly emptyFolders: number;
  readonly omitted: number;
  readonly findings: readonly Finding[];
}

export interface BuildResult {
  readonly preflight: PreflightReport;
  /** Null after a dry run. */
  readonly package: PackageSummary | null;
  readonly signed: boolean;
}

export interface PushResult {
  readonly package: string;
  readonly vault: string;
  readonly bytes: number;
  /** True when it was in the vault before this call. */
  readonly alreadyStored: boolean;
  /** How what was stored was checked: `read back`, `sha256 kept by the store`, ... */
  readonly method: string;
}

export interface PullResult {
  readonly package: string;
  /** What was written, absolute. */
  readonly path: string;
  /** Bytes that were read and held against the seal: the archive's, or those of the one file. */
  readonly bytes: number;
  /** Payload files of the bag; 1 for an archive or a single file. */
  readonly files: number;
}

export interface HandoverResult {
  readonly package: string;
  readonly folder: string;
  readonly files: readonly string[];
}

export interface ExportResult {
  readonly package: string;
  readonly format: ExportFormat;
  readonly out: string;
  readonly files: number;
  /** SHA-256 of the exported file. */
  readonly sha256: string;
}

export interface VaultSummary {
  readonly name: string;
  readonly kind: "folder" | "s3";
  /** A path, or `s3://bucket/prefix` with the endpoint where it is not Amazon's. */
  readonly location: string;
  /** `keychain (AKIA...)`, `environment`, `profile NAME`; null for a folder. Never a secret. */
  readonly credentials: string | null;
}

/** One thing that a health check tried. */
export interface HealthProbe {
  readonly name:
    | "reachable"
    | "writable"
    | "free space"
    | "largest file"
    | "rename"
    | "create only"
    | "case"
    | "names"
    | "fsync"
    | "delete"
    | "digest on write"
    | "create only, multipart"
    | "checksums"
    | "etag"
    | "encryption"
    | "storage class"
    | "versioning"
    | "object lock"
    | "public access";
  readonly result: "ok" | "limited" | "failed" | "unknown";
  readonly detail: string;
}

export interface VaultHealth {
  readonly fit: boolean;
  /** Bytes; null when the system does not tell. */
  readonly freeBytes: number | null;
  /** Largest file in bytes that it holds (FAT32: 4 GiB - 1); null when no limit is known. */
  readonly maxFileBytes: number | null;
  readonly caseSensitive: boolean | null;
  readonly probes: readonly HealthProbe[];
}

/** Where an S3 vault is, and how objects are stored in it. */
export interface StoreSettings {
  readonly bucket: string;
  /** `https://host[:port]`; null for Amazon's own. */
  readonly endpoint: string | null;
  readonly region: string;
  /** Without `/` at either end; null for the whole bucket. */
  readonly prefix: string | null;
  /** The bucket in the path instead of the host name. */
  readonly pathStyle: boolean;
  /** Of archives and artifacts; null for the store's own. */
  readonly storageClass: string | null;
  readonly encryption: "none" | "AES256" | "aws:kms";
  readonly kmsKey: string | null;
}

export interface VaultDetail extends VaultSummary {
  /** Null for a folder. */
  readonly store: StoreSettings | null;
  /** What is kept of the health checks, by which work with the vault goes; null where there was none. */
  readonly health: VaultHealth | null;
  /** When the last one was, RFC 3339, UTC. */
  readonly probed: string | null;
}

/** What a sync did for one engagement. */
export interface SyncedEngagement {
  readonly engagement: string;
  readonly vault: string;
  /** Packages that were queued for the vault and were sent. */
  readonly sent: number;
  /** Ids of packages that only the vault holds and this device did not know. */
  readonly added: readonly string[];
  /** Packages in the vault; null when it could not be looked through. */
  readonly stored: number | null;
  /** How much was found wrong with single packages; the outcome's warnings tell of each. */
  readonly problems: number;
  /** Why it was not done, or not to its end; null when it was. */
  readonly failure: Failure | null;
}

export interface SyncResult {
  readonly engagements: readonly SyncedEngagement[];
}

export interface BackupResult {
  readonly folder: string;
  readonly packages: readonly string[];
  /** Reference packages whose evidence lies only in its source folders. */
  readonly notHeld: readonly string[];
}

/** The whole product in one interface; every face and every transport satisfies it. */
export interface VaultApi extends TransferApi, ArtifactApi {
  engagementCreate(request: Request<"engagementCreate">): Promise<Outcome<Engagement>>;
  engagementSetVault(request: Request<"engagementSetVault">): Promise<Outcome<Engagement>>;
  engagementList(request: Request<"engagementList">): Promise<Outcome<readonly Engagement[]>>;
  engagementShow(request: Request<"engagementShow">): Promise<Outcome<Engagement>>;
  packageBuild(request: Request<"packageBuild">, options?: CallOptions): Promise<Outcome<BuildResult>>;
  packageList(request: Request<"packageList">): Promise<Outcome<readonly PackageSummary[]>>;
  packageShow(request: Request<"packageShow">): Promise<Outcome<PackageDetail>>;
  packageFiles(
    request: Request<"packageFiles">,
    options?: CallOptions,
  ): Promise<Outcome<{ readonly total: number; readonly files: readonly FileRecord[] }>>;
  packagePush(request: Request<"packagePush">, options?: CallOptions): Promise<Outcome<PushResult>>;
  packageQueue(request: Request<"packageQueue">): Promise<Outcome<TransferSummary>>;
  packagePull(request: Request<"packagePull">, options?: CallOptions): Promise<Outcome<PullResult>>;
  packageImport(request: Request<"packageImport">, options?: CallOptions): Promise<Outcome<PackageSummary>>;
  packageHandover(
    request: Request<"packageHandover">,
    options?: CallOptions,
  ): Promise<Outcome<HandoverResult>>;
  verify(request: Request<"verify">, options?: CallOptions): Promise<Outcome<VerificationReport>>;
  manifestExport(request: Request<"manifestExport">, options?: CallOptions): Promise<Outcome<ExportResult>>;
  vaultAddFolder(request: Request<"vaultAddFolder">): Promise<Outcome<VaultSummary>>;
  vaultAddS3(request: Request<"vaultAddS3">): Promise<Outcome<VaultSummary>>;
  vaultSetCredentials(request: Request<"vaultSetCredentials">): Promise<Outcome<VaultSummary>>;
  vaultList(request: Request<"vaultList">): Promise<Outcome<readonly VaultSummary[]>>;
  vaultShow(request: Request<"vaultShow">): Promise<Outcome<VaultDetail>>;
  vaultHealth(request: Request<"vaultHealth">): Promise<Outcome<VaultHealth>>;
  /** Fails only when no engagement at all could be synced. */
  sync(request: Request<"sync">, options?: CallOptions): Promise<Outcome<SyncResult>>;
  backup(request: Request<"backup">, options?: CallOptions): Promise<Outcome<BackupResult>>;
  restore(request: Request<"restore">, options?: CallOptions): Promise<Outcome<BackupResult>>;
}
