/** Shown under the list of commands: the way from nothing to a verified package. */
export const FIRST_STEPS = `
From evidence to a verified package:
  strongroom vault add folder office --path /mnt/evidence     where packages are kept
  strongroom engagement create acme-2026 --vault office       the audit
  strongroom package build acme-2026 ./interviews ./exports --name fieldwork-week-1
  strongroom package push 0197f3a2                            store it; the first characters of the id will do
  strongroom package pull 0197f3a2 --to ./review              on any machine that reaches the vault
  strongroom verify ./review/fieldwork-week-1                 VALID, or each file that is not

Results go to standard output, progress and errors to standard error. Every command takes --json.
Exit codes: 0 done or valid, 1 not valid, 2 could not be done or verified.
State is kept in $STRONGROOM_HOME (default: the platform's folder for application data).
'strongroom <command> --help' shows examples.
`;

/** The examples at the end of a command's help. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}\n`).join("")}`;
}
