import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { COMMANDS, GROUPS } from "./command-table.ts";
import { FIRST_STEPS } from "./help-text.ts";
import { OutputError } from "./output.ts";
import { refusedSecret } from "./refused-secrets.ts";
import { type ExitCode, Session, type Surroundings } from "./session.ts";
import { visible } from "./terminal-text.ts";
import { fullName, usageFailure } from "./usage.ts";

function version(): string {
  const file: unknown = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  return String(Reflect.get(Object(file), "version"));
}

/** The words of a command line that may name a command: `["package", "build", ...]`. */
function leadingWords(argv: readonly string[]): string[] {
  return argv.filter((argument, index) => !argument.startsWith("-") && argv[index - 1] !== "--credentials");
}

/** `help package build` and `package help build` as `package build --help`: commander's own help command knows one word only. */
function withHelpAsOption(argv: readonly string[]): readonly string[] {
  const words: string[] = [];
  for (const [index, argument] of argv.entries()) {
    if (argument.startsWith("-") || argv[index - 1] === "--credentials") continue;
    if (argument === "help") return [...argv.slice(0, index), ...argv.slice(index + 1), "--help"];
    words.push(argument);
    if (GROUPS[words.join(" ")] === undefined) break;
  }
  return argv;
}

const JSON_OPTION = ["--json", "print one JSON document"] as const;
const CREDENTIALS_OPTION = [
  "--credentials <source>",
  "for S3 vaults in this run: env or profile:NAME",
] as const;
const HELP_OPTION = ["-h, --help", "show this help"] as const;

/** Finds or makes the command under which `words` is to be registered. */
function commandAt(program: Command, words: readonly string[]): Command {
  let command = program;
  for (const [index, word] of words.entries()) {
    const known = command.commands.find((child) => child.name() === word);
    command = known ?? newCommand(command, word, GROUPS[words.slice(0, index + 1).join(" ")]);
  }
  return command;
}

/** A command, or with a description a group of them. */
function newCommand(parent: Command, word: string, groupDescription: string | undefined): Command {
  const command = parent.command(word).helpOption(...HELP_OPTION);
  if (groupDescription === undefined) return command;
  return command
    .description(groupDescription)
    .option(...CREDENTIALS_OPTION)
    .option(...JSON_OPTION)
    .helpCommand(false);
}

/** The whole command line with one command defined in full: the one that `argv` names. */
async function commandLine(argv: readonly string[], session: Session, write: (text: string) => void) {
  const program = new Command("strongroom")
    .description("Seals evidence into packages that anyone can verify, keeps them, and proves them.")
    .version(version(), "-V, --version", "print the version")
    .option(...CREDENTIALS_OPTION)
    .option(...JSON_OPTION)
    .helpOption(...HELP_OPTION)
    .helpCommand(false)
    .enablePositionalOptions()
    .addHelpText("after", FIRST_STEPS)
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .configureOutput({ writeOut: write, writeErr: () => undefined })
    .exitOverride();
  const named = leadingWords(argv);
  for (const entry of COMMANDS) {
    const words = entry.words.split(" ");
    const command = commandAt(program, words).description(entry.summary);
    if (words.some((word, index) => named[index] !== word)) continue;
    const { define } = await entry.load();
    define(command, session);
    // Last of the command's own options. A usage line names the options that must be there.
    if (!command.options.some(({ long }) => long === "--credentials")) command.option(...CREDENTIALS_OPTION);
    command.option(...JSON_OPTION);
    const needed = command.options.filter((option) => option.mandatory).map((option) => `${option.flags} `);
    command.usage(`${needed.join("")}[options]${argumentsText(command)}`);
  }
  return program;
}

function argumentsText(command: Command): string {
  return command.registeredArguments
    .map((argument) => {
      const name = `${argument.name()}${argument.variadic ? "..." : ""}`;
      return argument.required ? ` <${name}>` : ` [${name}]`;
    })
    .join("");
}

/** The command that `argv` names, as far as it is known, and the word of a group that is no command of it. */
function namedCommand(program: Command, argv: readonly string[]): { command: Command; unknown?: string } {
  let command = program;
  for (const word of leadingWords(argv)) {
    const child = command.commands.find((candidate) => candidate.name() === word);
    if (child === undefined) return command.commands.length === 0 ? { command } : { command, unknown: word };
    command = child;
  }
  return { command };
}

function usageMessage(error: CommanderError, command: Command): string {
  if (error.code === "commander.help") {
    const children = command.commands.map((child) => child.name()).join(", ");
    return `'${fullName(command)}' needs one of: ${children}.`;
  }
  let text = error.message.replace(/^error: /, "").replace(/\n/g, " ");
  // What stands behind an unknown option or an access key id may be a secret.
  if (error.code === "commander.unknownOption") text = text.replace(/^(unknown option '[^'=]*)=.*'/, "$1'");
  const takesKeys = command.options.some(({ long }) => long === "--access-key-id");
  if (error.code === "commander.excessArguments" && takesKeys)
    text = text.replace(/ but got (\d+): .*/, " but got $1");
  const sentence = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.)?]$/.test(sentence) ? sentence : `${sentence}.`;
}

/** Whether JSON is asked for, by the words alone: known even where the command line is not understood. */
function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return (end < 0 ? argv : argv.slice(0, end)).includes("--json");
}

/** A fault of this program, with its stack for the report. The exit code is 2: a fault is never "not valid". */
async function reportFault(error: unknown, session: Session, json: boolean): Promise<void> {
  const fault = error instanceof Error ? error : new Error(String(error));
  await session.fail(json, {
    code: "INTERNAL",
    message: `Unexpected fault: ${fault.message}`,
    nextStep: "Run the command again; if it happens again, report it with what standard error says.",
  });
  await session.output.note(
    `${(fault.stack ?? "")
      .split("\n")
      .map((line) => `  ${visible(line.trim())}\n`)
      .join("")}`,
  );
}

/** Runs the command that `typed` names; answers on the session. Throws OutputError only. */
async function answer(typed: readonly string[], session: Session): Promise<void> {
  const argv = withHelpAsOption(typed);
  const json = asksForJson(argv);
  let help = "";
  const program = await commandLine(argv, session, (text) => {
    help += text;
  });
  try {
    await program.parseAsync(argv.length === 0 ? ["--help"] : [...argv], { from: "user" });
  } catch (error) {
    if (error instanceof OutputError) throw error;
    if (!(error instanceof CommanderError)) return await reportFault(error, session, json);
    const { command, unknown } = namedCommand(program, argv);
    if (error.exitCode === 0 && unknown === undefined) return await session.output.result(help);
    const secret = refusedSecret(argv, command);
    if (secret !== null) return await session.fail(json, secret);
    const message = error.exitCode === 0 ? `Unknown command '${unknown}'.` : usageMessage(error, command);
    // Its help is the next step.
    await session.fail(json, usageFailure(message, fullName(command)));
  }
}

/** Runs one command line and answers with the exit code. What a user can cause is never thrown. */
export async function run(argv: readonly string[], surroundings: Surroundings): Promise<ExitCode> {
  const session = new Session(surroundings);
  try {
    await answer(argv, session);
  } catch (error) {
    if (!(error instanceof OutputError)) throw error;
    // Standard output is what failed, so the failure goes to standard error, whatever form was asked for.
    await session.fail(false, error.failure);
  }
  return session.exitCode;
}
