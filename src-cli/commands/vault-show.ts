import type { Command } from "commander";
import type { StoreSettings, VaultDetail } from "../../src-contract/vault-api.ts";
import { examples } from "../help-text.ts";
import { timeText } from "../human-text.ts";
import type { Paint } from "../paint.ts";
import { probesText } from "../probe-text.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { fields } from "../text-layout.ts";

type Pairs = readonly (readonly [string, string | null])[];

function storeFields({ region, pathStyle, storageClass, encryption, kmsKey }: StoreSettings): Pairs {
  return [
    ["Region", visible(region)],
    ["Addressing", pathStyle ? "the bucket in the path" : "the bucket in the host name"],
    [
      "Storage class",
      storageClass === null ? "the store's own" : `${visible(storageClass)}, for archives and artifacts`,
    ],
    ["Encryption", encryption === "none" ? "none asked for" : encryption],
    ["KMS key", kmsKey === null ? null : visible(kmsKey)],
  ];
}

function detailText(vault: VaultDetail, paint: Paint): string {
  const { name, kind, location, credentials, store, health, probed } = vault;
  const summary = fields([
    ["Kind", kind],
    [kind === "s3" ? "Bucket" : "Folder", visible(location)],
    ...(store === null ? [] : storeFields(store)),
    ["Credentials", credentials === null ? null : visible(credentials)],
    ["Last probed", probed === null ? "never" : timeText(probed)],
  ]);
  return `${paint("strong", visible(name))}\n\n${summary}${health === null ? "" : `\n${probesText(health.probes)}`}`;
}

export function define(command: Command, session: Session): void {
  command
    .argument("<name>", "the vault's name")
    .addHelpText(
      "after",
      `\nThe vault is not asked: what was found the last time is shown. Try it anew with: strongroom vault health NAME\n${examples("strongroom vault show lake", "strongroom vault show lake --json")}`,
    )
    .action((name: string) =>
      session.perform(command, {
        name: "vaultShow",
        request: { name },
        call: (vault, request) => vault.vaultShow(request),
        text: detailText,
      }),
    );
}
