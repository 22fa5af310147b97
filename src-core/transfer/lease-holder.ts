import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { z } from "zod";
import { systemCode } from "../failing.ts";

/** Where the operating system does not tell whether a process lives, a lease that was not renewed for this long (milliseconds) is free. */
const STALE_AFTER_MS = 60_000;
/** How often whoever works says that it lives, milliseconds: often enough for `isAlive`, even when some are missed. */
export const BEAT_MS = 10_000;

/** Who runs a transfer. A process id alone is no identity: it is given away again, and each container counts its own. */
export const leaseHolderSchema = z.strictObject({
  pid: z.number().int(),
  machine: z.string(),
  /** Linux's boot id and the namespace that the pid counts in; null on other systems. */
  boot: z.string().nullable(),
  space: z.string().nullable(),
  /** When the process started, in the system's own unit; null where the system does not tell. */
  started: z.string().nullable(),
});
export type LeaseHolder = z.infer<typeof leaseHolderSchema>;

export function thisProcess(): LeaseHolder {
  return {
    pid: process.pid,
    machine: hostname(),
    boot: unlessAbsent(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()),
    space: unlessAbsent(() => readlinkSync("/proc/self/ns/pid")),
    started: processStart(process.pid),
  };
}

/** Whether a beat is so recent that its process may live. */
export function isFresh(sinceBeatMs: number): boolean {
  return sinceBeatMs < STALE_AFTER_MS;
}

/** Whether the holder may still be at work. A holder that is dead for certain frees its lease at once. */
export function isAlive(holder: LeaseHolder, me: LeaseHolder, sinceBeatMs: number): boolean {
  const fresh = isFresh(sinceBeatMs);
  if (holder.machine !== me.machine) return fresh;
  if (holder.boot !== me.boot) return holder.boot === null || me.boot === null ? fresh : false;
  if (holder.space !== me.space) return fresh;
  if (holder.started !== null) return processStart(holder.pid) === holder.started;
  return pidInUse(holder.pid) && fresh;
}

/** proc(5), /proc/pid/stat: field 3 is the state, field 22 the start time in clock ticks since boot. Null for a process that ended. */
function processStart(pid: number): string | null {
  const stat = unlessAbsent(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
  if (stat === null) return null;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ended = fields[0] === "Z" || fields[0] === "X";
  return ended ? null : (fields[19] ?? null);
}

function pidInUse(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) !== "ESRCH";
  }
}

function unlessAbsent(read: () => string): string | null {
  try {
    return read();
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES" || code === "ENOTDIR") return null;
    throw error;
  }
}
