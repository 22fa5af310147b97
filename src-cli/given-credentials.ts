import type { Command } from "commander";
import type { Request, VaultSummary } from "../src-contract/vault-api.ts";
import { credentialsOf, type Job, type Session, wantsJson } from "./session.ts";
import { visible } from "./terminal-text.ts";
import { fields } from "./text-layout.ts";

export interface CredentialOptions {
  readonly accessKeyId?: string;
  readonly withSessionToken?: boolean;
}

export const SECRET_HELP = `
The secret access key is asked for on the terminal, or read from standard input
where that is no terminal: one line, and a session token in a second one. It is
kept in the system's keychain. --credentials env and --credentials profile:NAME
keep no secret: the AWS_ variables, or the AWS profile, are looked at each time.
`;

/** Gives a command the options that say where a vault's credentials come from. */
export function addCredentialOptions(command: Command): Command {
  return command
    .option("--access-key-id <id>", "the access key, whose secret is asked for")
    .option("--with-session-token", "ask for a session token too: the key is a temporary one")
    .option("--credentials <source>", "instead of a key: env or profile:NAME");
}

/** Performs a job whose request may need a store's secret. It is asked for once the rest is accepted: nobody types it twice for a misspelt bucket. */
export async function performWithSecret<N extends "vaultAddS3" | "vaultSetCredentials">(
  command: Command,
  session: Session,
  options: CredentialOptions,
  job: Omit<Job<N, VaultSummary>, "text">,
): Promise<void> {
  const { accessKeyId, withSessionToken } = options;
  // It may also stand before the command's name.
  const credentials = credentialsOf(command);
  const request: Request<N> = { ...job.request, accessKeyId, credentials };
  const { checkRequest } = await import("./request-check.ts");
  const notAccepted = checkRequest(job.name, request, command);
  if (notAccepted !== null) return await session.fail(wantsJson(command), notAccepted);
  // The core refuses a key besides a reference, so there is nothing to ask for.
  const needed = accessKeyId !== undefined && credentials === undefined;
  const secret = needed
    ? await session.surroundings.askStoreSecret({ accessKeyId, sessionToken: withSessionToken === true })
    : undefined;
  if (secret?.ok === false) return await session.fail(wantsJson(command), secret.failure);
  await session.perform(command, { ...job, request: { ...request, ...secret?.value }, text: vaultText });
}

function vaultText(vault: VaultSummary): string {
  return `${visible(vault.name)}\n\n${fields([
    ["Bucket", visible(vault.location)],
    ["Credentials", vault.credentials === null ? null : visible(vault.credentials)],
  ])}`;
}
