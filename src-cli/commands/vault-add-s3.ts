import { type Command, Option } from "commander";
import {
  addCredentialOptions,
  type CredentialOptions,
  performWithSecret,
  SECRET_HELP,
} from "../given-credentials.ts";
import { examples } from "../help-text.ts";
import type { Session } from "../session.ts";

interface Options extends CredentialOptions {
  readonly bucket: string;
  readonly endpoint?: string;
  readonly region?: string;
  readonly prefix?: string;
  readonly pathStyle?: boolean;
  readonly storageClass?: string;
  readonly encryption?: "none" | "AES256" | "aws:kms";
  readonly kmsKey?: string;
}

export function define(command: Command, session: Session): void {
  command
    .argument("<name>", "what to call it")
    .requiredOption("--bucket <bucket>", "the bucket; it must exist")
    .option("--endpoint <url>", "the store, https://host[:port]; without it Amazon's own")
    .option("--region <region>", "the bucket's region (default: us-east-1)")
    .option("--prefix <prefix>", "keep everything below this prefix of the bucket")
    .option("--path-style", "put the bucket in the path (default where an endpoint is given)")
    .option("--no-path-style", "put the bucket in the host name")
    .option("--storage-class <class>", "store archives in this class, such as STANDARD_IA")
    .addOption(
      new Option("--encryption <kind>", "ask the store to encrypt what it keeps").choices([
        "none",
        "AES256",
        "aws:kms",
      ]),
    )
    .option("--kms-key <arn>", "with --encryption aws:kms: the key, else the store's own");
  addCredentialOptions(command)
    .addHelpText(
      "after",
      `${SECRET_HELP}${examples(
        "strongroom vault add s3 lake --bucket acme-evidence --region eu-central-1 --access-key-id AKIA...",
        "strongroom vault add s3 lake --bucket acme-evidence --region eu-central-1 --credentials profile:audit",
        "strongroom vault add s3 ceph --bucket evidence --endpoint https://s3.example.org --prefix 2026 --access-key-id audit",
        "pass show s3/audit | strongroom vault add s3 ceph --bucket evidence --endpoint https://s3.example.org --access-key-id audit",
      )}`,
    )
    .action((name: string, options: Options) => {
      const { bucket, endpoint, region, prefix, pathStyle, storageClass, encryption, kmsKey } = options;
      return performWithSecret(command, session, options, {
        name: "vaultAddS3",
        request: { name, bucket, endpoint, region, prefix, pathStyle, storageClass, encryption, kmsKey },
        call: (vault, request) => vault.vaultAddS3(request),
      });
    });
}
