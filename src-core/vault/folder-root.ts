import { lstat, mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { syncFolder } from "../durable-files.ts";
import { asFailure, FailureError, fail, systemCode } from "../failing.ts";

/** What a system says when a disk or share is gone. */
const GONE = new Set([
  "ESTALE",
  "ENODEV",
  "ENXIO",
  "ENOTCONN",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENETDOWN",
  "ETIMEDOUT",
]);
/** What it may say then, and for other reasons too: a look at the vault's folder decides. */
const MAYBE_GONE = new Set(["ENOENT", "ENOTDIR", "EIO"]);
const REFUSED_WRITE = new Set(["EACCES", "EPERM", "EROFS"]);

/** A vault's folder. It may itself be reached over a symbolic link; nothing below it may be one. */
export interface FolderRoot {
  readonly path: string;
  /** Throws VAULT_UNREACHABLE when the folder is gone, or another disk is mounted there than at the first look. */
  assertReachable(): Promise<void>;
  /** The path of a key. Throws when the key is not safe, or a folder on the way or the object itself is a symbolic link. */
  pathOf(key: string): Promise<string>;
  /** As `pathOf`, and makes the folders above the object, each durable before the next. */
  makeParents(key: string): Promise<string>;
  /** Runs file system work about `path`; its system errors come out as Failures that name the path. */
  guard<T>(path: string, work: () => Promise<T>): Promise<T>;
}

/** Splits a key into path segments, or throws INVALID_INPUT: no segment may be empty, begin with a dot, or hold what a system treats specially. */
function keySegments(key: string): readonly string[] {
  const segments = key.split("/");
  if (segments.some((segment) => !isKeySegment(segment))) {
    throw fail(
      "INVALID_INPUT",
      `${JSON.stringify(key)} is not a key that a folder vault can hold.`,
      "Use names without dots at the start, '\\', ':' or control characters.",
      {
        subject: key,
      },
    );
  }
  return segments;
}

/** Dot-names are kept for uploads under way and are never objects. A colon names a drive or a stream on Windows. */
export function isKeySegment(segment: string): boolean {
  return segment !== "" && !segment.startsWith(".") && !FORBIDDEN.test(segment) && segment.isWellFormed();
}
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const FORBIDDEN = process.platform === "win32" ? /[\0-\x1f\\:]/ : /[\0\\]/;

export function folderRoot(path: string): FolderRoot {
  let device: number | null = null;

  async function assertReachable(): Promise<void> {
    const why = await unreachable();
    if (why !== null) throw gone(why);
  }

  function gone(why: string, cause?: unknown): FailureError {
    return fail(
      "VAULT_UNREACHABLE",
      `The vault's folder ${path} ${why}.`,
      "Connect the disk or share, then run the same command again: what was sent is kept.",
      { subject: path, ...(cause === undefined ? {} : { cause }) },
    );
  }

  async function unreachable(): Promise<string | null> {
    try {
      const found = await stat(path);
      if (!found.isDirectory()) return "is not a folder";
      device ??= found.dev;
      return found.dev === device
        ? null
        : "is on another disk than before: the vault's disk was disconnected";
    } catch (error) {
      const code = systemCode(error);
      if (code === undefined) throw error;
      return `cannot be reached (${code})`;
    }
  }

  async function failure(error: unknown, at: string): Promise<FailureError> {
    if (error instanceof FailureError) return error;
    const code = systemCode(error) ?? "";
    if (GONE.has(code)) return gone(`cannot be reached (${code})`, error);
    if (MAYBE_GONE.has(code)) await assertReachable();
    if (REFUSED_WRITE.has(code)) {
      return fail(
        "WRITE_REFUSED",
        `The vault's folder refuses access to ${at} (${code}).`,
        "Make it writable for you, or choose another vault.",
        { subject: at, cause: error },
      );
    }
    return asFailure(error, at);
  }

  async function guard<T>(at: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw await failure(error, at);
    }
  }

  /** Visits each folder of the key from the top. The system offers no open-below-this-folder to Node, so a link that is put in between look and use is not seen. */
  async function walk(
    key: string,
    onMissing: (folder: string, parent: string) => Promise<boolean>,
  ): Promise<string> {
    const segments = keySegments(key);
    await assertReachable();
    let at = path;
    for (const [index, segment] of segments.entries()) {
      const parent = at;
      at = join(at, segment);
      const isObject = index === segments.length - 1;
      const found = await guard(at, () => kindOf(at));
      if (found === "symlink") {
        throw fail(
          "PATH_NOT_EVIDENCE",
          `${at} in the vault is a symbolic link, which is never followed.`,
          "Find out who put it there; remove it, then try again.",
          { subject: at },
        );
      }
      if (isObject) return at;
      if (found === "missing" && !(await guard(at, () => onMissing(at, parent))))
        return join(path, ...segments);
    }
    return at;
  }

  return {
    path,
    assertReachable,
    guard,
    pathOf: (key) => walk(key, async () => false),
    makeParents: (key) =>
      walk(key, async (folder, parent) => {
        await makeFolder(folder, parent);
        return true;
      }),
  };
}

async function kindOf(path: string): Promise<"missing" | "symlink" | "other"> {
  try {
    return (await lstat(path)).isSymbolicLink() ? "symlink" : "other";
  } catch (error) {
    if (systemCode(error) === "ENOENT") return "missing";
    throw error;
  }
}

async function makeFolder(folder: string, parent: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
  }
  await syncFolder(parent);
}
