import { randomFillSync } from "node:crypto";
import type { Clock, NewId } from "./ports.ts";

export const systemClock: Clock = { now: () => Date.now() };

/** UUIDs of version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random bits. */
export function uuidV7(clock: Clock): NewId {
  return () => {
    const bytes = randomFillSync(Buffer.alloc(16));
    bytes.writeUIntBE(clock.now(), 0, 6);
    bytes[6] = 0x70 | ((bytes[6] as number) & 0x0f);
    bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f);
    const hex = bytes.toString("hex");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  };
}
