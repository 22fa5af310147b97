import { type Command, InvalidArgumentError, Option } from "commander";
import type { Failure } from "../../src-contract/failure.ts";
import type { BuildResult } from "../../src-contract/vault-api.ts";
import { NO_TERMINAL_FOR_PASSPHRASE } from "../ask-secret.ts";
import { findingsText, findingTotals } from "../findings-text.ts";
import { examples } from "../help-text.ts";
import { amountText, countText, sizeText } from "../human-text.ts";
import { packageFields } from "../package-text.ts";
import type { Paint } from "../paint.ts";
import { type Session, wantsJson } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { fields } from "../text-layout.ts";

interface Options {
  readonly name: string;
  readonly title?: string;
  readonly producer?: string;
  readonly subject?: string;
  readonly digest?: "sha256" | "sha512";
  readonly class?: string;
  readonly phase?: string;
  readonly meta?: ReadonlyMap<string, string>;
  readonly reference?: boolean;
  readonly dryRun?: boolean;
  readonly includeLitter?: boolean;
  readonly storeNonUnicode?: boolean;
  readonly key?: string;
  readonly quiet?: boolean;
}

/** Gathers `--meta key=value`. The value may hold further `=`; a key given twice is refused, since one value would be lost. */
function addMetadata(
  entry: string,
  gathered: ReadonlyMap<string, string> | undefined,
): ReadonlyMap<string, string> {
  const at = entry.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Write it as key=value.");
  const key = entry.slice(0, at);
  // An object cannot hold it as a key of its own in every place it comes through: it would be lost without a word.
  if (key === "__proto__") throw new InvalidArgumentError("The key __proto__ cannot be used.");
  if (gathered?.has(key)) throw new InvalidArgumentError(`The key ${key} is given twice.`);
  return new Map([...(gathered ?? []), [key, entry.slice(at + 1)]]);
}

function preflightText({ preflight }: BuildResult): string {
  const left = preflight.omitted === 0 ? "nothing" : `${countText(preflight.omitted)} (see findings)`;
  const errors = preflight.findings.filter((finding) => finding.severity === "error").length;
  return fields([
    ["Content", `${amountText(preflight.files, "file")}, ${sizeText(preflight.bytes)}`],
    ["Empty folders", preflight.emptyFolders === 0 ? null : String(preflight.emptyFolders)],
    ["Left out", left],
    ["Findings", findingTotals(errors, preflight.findings.length - errors)],
  ]);
}

function* buildText(built: BuildResult, paint: Paint): Generator<string> {
  if (built.package === null) {
    yield `${paint("strong", "Dry run: nothing was sealed")}\n\n${preflightText(built)}`;
  } else {
    // The id stands alone on the first line, so that `head -n 1` gives what the other commands take.
    yield `${visible(built.package.id)}\n\n${fields([
      ...packageFields(built.package),
      ["Signed", built.signed ? "yes" : "no"],
      ["Findings", findingTotals(0, built.preflight.findings.length)],
    ])}`;
  }
  yield* findingsText(built.preflight.findings, paint);
}

/** The passphrase for --key: from the environment, else asked for. Arguments are public, so it is never one of them. */
async function passphrase(
  session: Session,
  keyFile: string | undefined,
): Promise<string | Failure | undefined> {
  if (keyFile === undefined) return undefined;
  const given = session.surroundings.env.STRONGROOM_KEY_PASSPHRASE;
  if (given !== undefined) return given;
  const asked = await session.surroundings.askSecret(
    `Passphrase for ${visible(keyFile)}: `,
    NO_TERMINAL_FOR_PASSPHRASE,
  );
  return asked.ok ? asked.value : asked.failure;
}

async function build(
  command: Command,
  session: Session,
  engagement: string,
  sources: string[],
  options: Options,
): Promise<void> {
  const secret = await passphrase(session, options.key);
  if (typeof secret === "object") return await session.fail(wantsJson(command), secret);
  const text = options.quiet
    ? (built: BuildResult) => (built.package === null ? "" : `${visible(built.package.id)}\n`)
    : buildText;
  await session.perform(command, {
    name: "packageBuild",
    request: {
      engagement,
      sources,
      name: options.name,
      title: options.title,
      producer: options.producer,
      subject: options.subject,
      digest: options.digest,
      retentionClass: options.class,
      phase: options.phase,
      metadata: options.meta === undefined ? undefined : Object.fromEntries(options.meta),
      mode: options.reference ? "reference" : "copy",
      dryRun: options.dryRun,
      includeLitter: options.includeLitter,
      storeNonUnicode: options.storeNonUnicode,
      keyFile: options.key,
      keyPassphrase: secret,
    },
    call: (vault, request, callOptions) => vault.packageBuild(request, callOptions),
    text,
  });
}

export function define(command: Command, session: Session): void {
  command
    .argument("<engagement>", "the engagement's id")
    .argument("<path...>", "files and folders to seal")
    .requiredOption("--name <name>", "the package's name: its file name, without spaces")
    .option("--title <text>", "what it is, in words")
    .option("--producer <text>", "who or what made the evidence")
    .option("--subject <text>", "whom or what it is about")
    .addOption(
      new Option("--digest <algorithm>", "sha512: write SHA-512 manifests besides SHA-256").choices([
        "sha256",
        "sha512",
      ]),
    )
    .option("--class <class>", "retention class, such as raw-evidence")
    .option("--phase <phase>", "phase of the engagement, such as 01_recon")
    .option("--meta <key=value>", "further metadata; write --meta before each", addMetadata)
    .option("--reference", "copy nothing: seal the files where they are, read them again when storing")
    .option("--dry-run", "only report what would be sealed and what stands against it")
    .option("--include-litter", "take .DS_Store, Thumbs.db and ._* files along")
    .option("--store-non-unicode", "store names that are not valid Unicode under _nonutf8/")
    .option(
      "--key <file>",
      "sign with this encrypted PKCS#8 Ed25519 key (STRONGROOM_KEY_PASSPHRASE, or asked for)",
    )
    .option("--quiet", "print the package id and nothing else")
    .addHelpText(
      "after",
      `\nThe first line printed is the package's id. Source folders are never written to.\n${examples(
        "strongroom package build acme-2026 ./interviews ./exports --name fieldwork-week-1",
        'strongroom package build acme-2026 ./logs --name fw-logs --title "Firewall logs, May" --class raw-evidence',
        "strongroom package build acme-2026 ./logs --name fw-logs --meta run_id=42 --dry-run",
        "id=$(strongroom package build acme-2026 ./logs --name fw-logs --quiet)",
      )}`,
    )
    .action((engagement: string, sources: string[], options: Options) =>
      build(command, session, engagement, sources, options),
    );
}
