import type { Command } from "commander";
import type { Failure } from "../src-contract/failure.ts";
import { fullName } from "./usage.ts";

const SECRET_OPTION = /^--?[a-z-]*(?:secret|token|passphrase|password)[a-z-]*(?==|$)/i;

/** The option in which a secret was given as an argument, `--secret-access-key`; null when there is none. */
function secretOption(argv: readonly string[], command: Command): string | null {
  for (const argument of argv) {
    if (argument === "--") return null;
    const [option] = SECRET_OPTION.exec(argument) ?? [];
    if (option !== undefined && !command.options.some(({ long }) => long === option)) return option;
  }
  return null;
}

/** Answers a command line that is not understood and holds a secret; nothing of it but the option's name is repeated. Null for any other. */
export function refusedSecret(argv: readonly string[], command: Command): Failure | null {
  const option = secretOption(argv, command);
  if (option === null) return null;
  return {
    code: "INVALID_INPUT",
    message: `There is no ${option}: what is on a command line can be read by every process of this machine, and stays in the shell's history.`,
    nextStep: `Leave it out: '${fullName(command)}' asks for secrets on the terminal or reads them from standard input. If others use this machine, have a new secret issued.`,
    subject: option,
  };
}
