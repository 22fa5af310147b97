import type { Failure, FailureCode, Outcome } from "../src-contract/failure.ts";
import type { CancelSignal } from "../src-contract/progress.ts";

/** Carries a Failure through the inside of core; at the door it becomes an Outcome, so nobody outside sees it thrown. */
export class FailureError extends Error {
  readonly failure: Failure;
  constructor(failure: Failure, cause?: unknown) {
    super(failure.message, { cause });
    this.name = "FailureError";
    this.failure = failure;
  }
}

/** Builds the error to throw: `throw fail("PATH_NOT_FOUND", "…", "…", { subject })`. */
export function fail(
  code: FailureCode,
  message: string,
  nextStep: string,
  more: { subject?: string; details?: Record<string, unknown>; cause?: unknown } = {},
): FailureError {
  const { cause, ...rest } = more;
  return new FailureError({ code, message, nextStep, ...rest }, cause);
}

/** The `code` of a Node.js system error (`ENOENT`, ...), or undefined for anything else. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const code: unknown = Reflect.get(error, "code");
  return typeof code === "string" ? code : undefined;
}

const SYSTEM_FAILURES: Readonly<Record<string, readonly [FailureCode, string, string]>> = {
  ENOENT: ["PATH_NOT_FOUND", "does not exist", "Check the path and try again."],
  ENOTDIR: ["PATH_NOT_FOUND", "has a file where a folder is needed", "Check the path and try again."],
  EACCES: [
    "PATH_UNREADABLE",
    "may not be accessed",
    "Give yourself permission, or run as a user who has it.",
  ],
  EPERM: ["PATH_UNREADABLE", "may not be accessed", "Give yourself permission, or run as a user who has it."],
  ENOSPC: ["DISK_FULL", "cannot be written: the disk is full", "Free some space and run the command again."],
  EDQUOT: [
    "DISK_FULL",
    "cannot be written: the quota is used up",
    "Free some space and run the command again.",
  ],
  EFBIG: [
    "WRITE_REFUSED",
    "cannot hold a file of this size",
    "Use a file system without this limit (not FAT32).",
  ],
  EROFS: ["WRITE_REFUSED", "is on a read-only file system", "Choose a place that can be written to."],
  EEXIST: ["PATH_EXISTS", "is already there", "Choose another place, or move it away first."],
  ENOTEMPTY: ["PATH_EXISTS", "is not empty", "Choose another place, or move it away first."],
  EISDIR: ["INVALID_INPUT", "is a folder where a file is needed", "Name a file."],
  ENAMETOOLONG: ["INVALID_INPUT", "has a name that is too long for this system", "Use a shorter path."],
  ELOOP: ["PATH_NOT_EVIDENCE", "is a symbolic link, which is never followed", "Name what it points to."],
  EMFILE: [
    "IO_ERROR",
    "cannot be opened: too many files are open",
    "Raise the limit (ulimit -n) and try again.",
  ],
  EIO: [
    "IO_ERROR",
    "cannot be read or written: the disk or share reported a fault",
    "Check the disk or share, then try again.",
  ],
  ESTALE: ["IO_ERROR", "is on a share that went away", "Reconnect the share, then try again."],
};

/** SQLite's result codes by their beginning (sqlite.org/rescode.html); a database that fails in the middle of work is no fault of this program. */
const DATABASE_FAILURES: readonly (readonly [string, FailureCode, string, string])[] = [
  [
    "SQLITE_BUSY",
    "DATABASE_BUSY",
    "is held by another process",
    "Wait for it to end, then run the command again.",
  ],
  [
    "SQLITE_FULL",
    "DISK_FULL",
    "cannot be written: the disk is full",
    "Free some space and run the command again.",
  ],
  [
    // The file that SQLite's processes share could not be made larger: there is no other cause than a full disk or a quota.
    "SQLITE_IOERR_SHMSIZE",
    "DISK_FULL",
    "cannot be used: the disk is full",
    "Free some space and run the command again.",
  ],
  [
    "SQLITE_READONLY",
    "HOME_UNUSABLE",
    "cannot be written to",
    "Make the folder writable, or set STRONGROOM_HOME to another one.",
  ],
  [
    "SQLITE_CANTOPEN",
    "HOME_UNUSABLE",
    "cannot be opened",
    "Make the folder writable, or set STRONGROOM_HOME to another one.",
  ],
  [
    "SQLITE_NOTADB",
    "DATABASE_DAMAGED",
    "is not a sound database; it was left as it is",
    "Move the file away: a catalog is rebuilt from the packages, a ledger comes back from a backup (strongroom restore).",
  ],
  [
    "SQLITE_CORRUPT",
    "DATABASE_DAMAGED",
    "is not a sound database; it was left as it is",
    "Move the file away: a catalog is rebuilt from the packages, a ledger comes back from a backup (strongroom restore).",
  ],
  [
    "SQLITE_IOERR",
    "IO_ERROR",
    "cannot be read or written: the disk reported a fault",
    "Check the disk, then try again.",
  ],
];

/** Turns a system error about `subject` into a FailureError; a FailureError passes unchanged; anything else is INTERNAL. */
export function asFailure(error: unknown, subject?: string): FailureError {
  if (error instanceof FailureError) return error;
  if (error instanceof Error && error.name === "AbortError") return cancelled();
  const code = systemCode(error);
  const known = code === undefined ? undefined : SYSTEM_FAILURES[code];
  const about = subject ?? String(Reflect.get(Object(error), "path") ?? "");
  if (known !== undefined) {
    return fail(known[0], `${about || "A path"} ${known[1]} (${code}).`, known[2], {
      ...(about === "" ? {} : { subject: about }),
      cause: error,
    });
  }
  const database = DATABASE_FAILURES.find(([prefix]) => code?.startsWith(prefix));
  if (database !== undefined) {
    const [, failureCode, what, nextStep] = database;
    const file = subject ?? "A database in Strongroom's state folder";
    return fail(failureCode, `${file} ${what} (${code}).`, nextStep, {
      ...(subject === undefined ? {} : { subject }),
      cause: error,
    });
  }
  const text = error instanceof Error ? error.message : String(error);
  return fail(
    "INTERNAL",
    about === "" ? `Unexpected fault: ${text}` : `Unexpected fault at ${about}: ${text}`,
    "Run the command again; if it happens again, report it with this message.",
    { ...(about === "" ? {} : { subject: about }), cause: error },
  );
}

/** What to throw when a worker thread could not be loaded, ran out of memory or ended before its work did. */
export function threadDied(cause: unknown): FailureError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return fail(
    "INTERNAL",
    `A worker thread died: ${why}`,
    "Run the command again; if it happens again, install Strongroom anew, or report it with this message.",
    { cause },
  );
}

const REFUSED_WRITE = new Set(["EACCES", "EPERM", "EROFS"]);

/** As `asFailure`, for a folder or file of the user in which something was to be made. */
export function writeFailure(error: unknown, subject: string): FailureError {
  const code = systemCode(error);
  if (error instanceof FailureError || code === undefined || !REFUSED_WRITE.has(code)) {
    return asFailure(error, subject);
  }
  return fail(
    "WRITE_REFUSED",
    `Nothing may be written to ${subject} (${code}).`,
    "Make it writable for you, or choose another folder.",
    { subject, cause: error },
  );
}

export function cancelled(): FailureError {
  return fail("CANCELLED", "Stopped at your request.", "Run the same command again to go on.");
}

/** Throws CANCELLED once the caller has asked to stop. */
export function throwIfCancelled(signal: CancelSignal | undefined): void {
  if (signal?.aborted) throw cancelled();
}

/** Runs one API call and answers with data, whatever happened inside. */
export async function toOutcome<T>(work: () => Promise<T> | T): Promise<Outcome<T>> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    return { ok: false, failure: asFailure(error).failure };
  }
}
