import type { Command } from "commander";
import type { Session } from "./session.ts";

/** What each file under commands/ exports as `define`: it gives a command its arguments, options, examples and action. */
type DefineCommand = (command: Command, session: Session) => void;

export interface CommandEntry {
  /** One to three words. */
  readonly words: string;
  readonly summary: string;
  readonly load: () => Promise<{ define: DefineCommand }>;
}

export const GROUPS: Readonly<Record<string, string>> = {
  engagement: "Audits: each has an id, a name, a client and a vault",
  package: "Evidence sealed into packages: build, look at, store, hand over",
  manifest: "The list of files in a package",
  transfers: "What is on its way to or from vaults: look, pause, resume, cancel",
  artifact: "Single files of an audit, by its phases: put, get, list",
  vault: "Places where packages are kept",
  "vault add": "Add a vault",
};

/** Every command. A command's file is loaded only when it is called, so that the program starts quickly. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    words: "engagement create",
    summary: "Begin an engagement",
    load: () => import("./commands/engagement-create.ts"),
  },
  {
    words: "engagement list",
    summary: "List all engagements",
    load: () => import("./commands/engagement-list.ts"),
  },
  {
    words: "engagement show",
    summary: "Show one engagement",
    load: () => import("./commands/engagement-show.ts"),
  },
  {
    words: "engagement set-vault",
    summary: "Give an engagement its vault",
    load: () => import("./commands/engagement-set-vault.ts"),
  },
  {
    words: "package build",
    summary: "Seal files and folders into a package",
    load: () => import("./commands/package-build.ts"),
  },
  { words: "package list", summary: "List packages", load: () => import("./commands/package-list.ts") },
  {
    words: "package show",
    summary: "Show all that is known of a package",
    load: () => import("./commands/package-show.ts"),
  },
  {
    words: "package files",
    summary: "List a package's files, or search them",
    load: () => import("./commands/package-files.ts"),
  },
  {
    words: "package push",
    summary: "Store a package in the engagement's vault",
    load: () => import("./commands/package-push.ts"),
  },
  {
    words: "package pull",
    summary: "Write a package, or one of its files, to a folder",
    load: () => import("./commands/package-pull.ts"),
  },
  {
    words: "package import",
    summary: "Take in a package that was sealed elsewhere",
    load: () => import("./commands/package-import.ts"),
  },
  {
    words: "package handover",
    summary: "Write a package with all that a recipient needs to verify it",
    load: () => import("./commands/package-handover.ts"),
  },
  {
    words: "transfers list",
    summary: "List the transfers that are under way or queued",
    load: () => import("./commands/transfers-list.ts"),
  },
  {
    words: "transfers watch",
    summary: "Look on while transfers run",
    load: () => import("./commands/transfers-watch.ts"),
  },
  {
    words: "transfers pause",
    summary: "Pause a transfer",
    load: () => import("./commands/transfers-pause.ts"),
  },
  {
    words: "transfers resume",
    summary: "Let a transfer go on that was paused or stopped",
    load: () => import("./commands/transfers-resume.ts"),
  },
  {
    words: "transfers cancel",
    summary: "End a transfer and drop what it sent",
    load: () => import("./commands/transfers-cancel.ts"),
  },
  {
    words: "transfers limit",
    summary: "Limit the bytes per second of all transfers",
    load: () => import("./commands/transfers-limit.ts"),
  },
  {
    words: "transfers orphans",
    summary: "Find uploads that nobody completes, and drop them",
    load: () => import("./commands/transfers-orphans.ts"),
  },
  {
    words: "agent",
    summary: "Do what is queued, until it is stopped",
    load: () => import("./commands/agent.ts"),
  },
  {
    words: "verify",
    summary: "Verify a bag, an archive or a package",
    load: () => import("./commands/verify.ts"),
  },
  {
    words: "manifest export",
    summary: "Write a package's file list as JSON, CSV, sha256sum, BagIt or HTML",
    load: () => import("./commands/manifest-export.ts"),
  },
  {
    words: "vault add folder",
    summary: "Use a folder, stick or share as a vault",
    load: () => import("./commands/vault-add-folder.ts"),
  },
  {
    words: "vault add s3",
    summary: "Use an S3 bucket, or a prefix of one, as a vault",
    load: () => import("./commands/vault-add-s3.ts"),
  },
  {
    words: "vault set-credentials",
    summary: "Replace the credentials of an S3 vault",
    load: () => import("./commands/vault-set-credentials.ts"),
  },
  {
    words: "artifact put",
    summary: "Store a file, or standard input, with an audit",
    load: () => import("./commands/artifact-put.ts"),
  },
  {
    words: "artifact get",
    summary: "Fetch a file of an audit and check it",
    load: () => import("./commands/artifact-get.ts"),
  },
  {
    words: "artifact ls",
    summary: "List the files of an audit",
    load: () => import("./commands/artifact-ls.ts"),
  },
  { words: "vault list", summary: "List all vaults", load: () => import("./commands/vault-list.ts") },
  {
    words: "vault show",
    summary: "Show all that is known of a vault, without asking it",
    load: () => import("./commands/vault-show.ts"),
  },
  {
    words: "vault health",
    summary: "Try out what a vault can do",
    load: () => import("./commands/vault-health.ts"),
  },
  {
    words: "sync",
    summary: "Send what is queued and learn what is new in the vaults",
    load: () => import("./commands/sync.ts"),
  },
  {
    words: "backup",
    summary: "Copy this device's own records and packages to a folder",
    load: () => import("./commands/backup.ts"),
  },
  { words: "restore", summary: "Bring a backup back", load: () => import("./commands/restore.ts") },
];
