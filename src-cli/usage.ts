import type { Command } from "commander";
import type { Failure } from "../src-contract/failure.ts";

/** The full name of a command, `strongroom package build`. */
export function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`;
}

/** How a command line that is not understood is answered, wherever that was found. */
export function usageFailure(message: string, commandName: string, subject?: string): Failure {
  return {
    code: "INVALID_INPUT",
    message,
    nextStep: `Run '${commandName} --help' to see what it takes.`,
    ...(subject === undefined ? {} : { subject }),
  };
}
