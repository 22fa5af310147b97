import type { Command } from "commander";
import type { Failure } from "../src-contract/failure.ts";
import {
  credentialReferenceSchema,
  type Request,
  type RequestName,
  requestSchemas,
} from "../src-contract/vault-api.ts";
import { fullName, usageFailure } from "./usage.ts";

/** Request fields whose option or argument has another name on the command line. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  sources: "<path...>",
  retentionClass: "--class",
  metadata: "--meta",
  keyFile: "--key",
  mode: "--reference",
  keyPassphrase: "STRONGROOM_KEY_PASSPHRASE",
  secretAccessKey: "The secret access key",
  sessionToken: "The session token",
};

/** Never repeated: what was meant to be secret, or may hold a secret by mistake. */
const UNQUOTED: ReadonlySet<unknown> = new Set([
  "keyPassphrase",
  "secretAccessKey",
  "sessionToken",
  "accessKeyId",
  "credentials",
  "endpoint",
]);

function nameOnCommandLine(command: Command, field: string): string {
  const other = OTHER_NAMES[field];
  if (other !== undefined) return other;
  const isArgument = command.registeredArguments.some((argument) => argument.name() === field);
  return isArgument ? `<${field}>` : `--${field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function quoted(value: unknown): string {
  if (typeof value !== "string") return "";
  return ` "${value.length > 100 ? `${value.slice(0, 100)}…` : value}"`;
}

function valueAt(request: unknown, path: readonly PropertyKey[]): unknown {
  let value = request;
  for (const key of path) value = Object(value)[key];
  return value;
}

/** Holds what the user gave against the contract; null when it fits, else a Failure that names the option. Secrets are never repeated. */
export function checkRequest<N extends RequestName>(
  name: N,
  request: Request<N>,
  command: Command,
): Failure | null {
  const parsed = requestSchemas[name].safeParse(request);
  if (parsed.success) return null;
  const issues = parsed.error.issues.map((issue) => {
    const label = nameOnCommandLine(command, String(issue.path[0] ?? ""));
    const value = UNQUOTED.has(issue.path[0]) ? "" : quoted(valueAt(request, issue.path));
    return { label, text: `${label}${value}: ${issue.message}` };
  });
  const message = `Not accepted: ${issues.map((issue) => issue.text).join("; ")}.`;
  return usageFailure(message, fullName(command), issues[0]?.label);
}

/** The same for what `--credentials` says. */
export function checkCredentials(credentials: string | undefined, command: Command): Failure | null {
  const parsed = credentialReferenceSchema.optional().safeParse(credentials);
  if (parsed.success) return null;
  const problem = parsed.error.issues.map((issue) => issue.message).join("; ");
  return usageFailure(`Not accepted: --credentials: ${problem}.`, fullName(command), "--credentials");
}
