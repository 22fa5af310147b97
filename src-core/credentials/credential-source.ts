import { z } from "zod";
import { fail } from "../failing.ts";
import type { NewId } from "../ports.ts";

/** Names of profiles as the AWS SDK reads them, `:` as in `123456789012:Auditor` included. */
const profileNameSchema = z.string().regex(/^[\w@+.%:/-]{1,200}$/, "is not the name of an AWS profile");

/** Where a vault's credentials come from; plain data for the ledger, never a secret. */
export const credentialSourceSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("keychain"),
    /** Shown to the user; the keychain keeps it beside the secret, and what is used is that pair. */
    accessKeyId: z.string().min(1),
    /** The account under which the keychain holds the secret. */
    account: z.string().min(1),
  }),
  z.strictObject({ kind: z.literal("env") }),
  z.strictObject({ kind: z.literal("profile"), name: profileNameSchema }),
]);
export type CredentialSource = z.infer<typeof credentialSourceSchema>;
export type KeychainSource = Extract<CredentialSource, { kind: "keychain" }>;

/**
 * A source in the keychain for a vault that has none yet. The account holds an id of its own: a keychain serves all state folders of a
 * user, and vaults of the same name in two of them have nothing in common (on Windows names that differ in case are one name).
 */
export function newKeychainSource(vault: string, accessKeyId: string, newId: NewId): KeychainSource {
  return { kind: "keychain", accessKeyId, account: `vault/${vault}/${newId()}` };
}

/** Reads the command line's form: `env` or `profile:NAME`. Throws INVALID_INPUT. */
export function parseCredentialSource(text: string): CredentialSource {
  if (text === "env") return { kind: "env" };
  const name = profileNameSchema.safeParse(text.startsWith("profile:") ? text.slice("profile:".length) : "");
  if (name.success) return { kind: "profile", name: name.data };
  throw fail(
    "INVALID_INPUT",
    "Credentials must be env or profile:NAME, with the name of an AWS profile.",
    "Give --credentials env, or --credentials profile:NAME.",
  );
}

/** For a person: `keychain (AKIA...)`, `environment`, `profile NAME`. */
export function sourceText(source: CredentialSource): string {
  switch (source.kind) {
    case "keychain":
      return `keychain (${source.accessKeyId})`;
    case "env":
      return "environment";
    case "profile":
      return `profile ${source.name}`;
  }
}
