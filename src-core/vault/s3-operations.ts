/** A request of the S3 API with the permission that it needs, by which a refusal is named. */
interface Need {
  readonly permission: string;
  /** Whether the permission is for objects or for the bucket. */
  readonly on: "objects" | "bucket";
}

/** Amazon S3 API Reference and Service Authorization Reference, "Actions defined by Amazon S3". */
export const OPERATIONS = {
  PutObject: { permission: "s3:PutObject", on: "objects" },
  CreateMultipartUpload: { permission: "s3:PutObject", on: "objects" },
  // Of its two permissions the other one, s3:PutObject, has just begun the upload.
  UploadPartCopy: { permission: "s3:GetObject", on: "objects" },
  UploadPart: { permission: "s3:PutObject", on: "objects" },
  CompleteMultipartUpload: { permission: "s3:PutObject", on: "objects" },
  AbortMultipartUpload: { permission: "s3:AbortMultipartUpload", on: "objects" },
  ListParts: { permission: "s3:ListMultipartUploadParts", on: "objects" },
  ListMultipartUploads: { permission: "s3:ListBucketMultipartUploads", on: "bucket" },
  HeadObject: { permission: "s3:GetObject", on: "objects" },
  GetObject: { permission: "s3:GetObject", on: "objects" },
  GetObjectVersion: { permission: "s3:GetObjectVersion", on: "objects" },
  ListObjectsV2: { permission: "s3:ListBucket", on: "bucket" },
  DeleteObject: { permission: "s3:DeleteObject", on: "objects" },
  DeleteObjectVersion: { permission: "s3:DeleteObjectVersion", on: "objects" },
  /** Under a lock of mode GOVERNANCE. */
  DeleteLockedVersion: { permission: "s3:BypassGovernanceRetention", on: "objects" },
  PutObjectRetention: { permission: "s3:PutObjectRetention", on: "objects" },
  GetBucketVersioning: { permission: "s3:GetBucketVersioning", on: "bucket" },
  GetObjectLockConfiguration: { permission: "s3:GetBucketObjectLockConfiguration", on: "bucket" },
  GetPublicAccessBlock: { permission: "s3:GetBucketPublicAccessBlock", on: "bucket" },
} as const satisfies Record<string, Need>;

export type Operation = keyof typeof OPERATIONS;
