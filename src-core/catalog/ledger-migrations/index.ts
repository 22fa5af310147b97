import type { Migration } from "../database.ts";
import { foundation } from "./0010-foundation.ts";
import { transfers } from "./0020-transfers.ts";
import { custody } from "./0030-custody.ts";
import { buildBeat } from "./0040-build-beat.ts";
import { s3Vaults } from "./0050-s3-vaults.ts";
import { transferQueue } from "./0060-transfer-queue.ts";
import { seenArchives } from "./0070-seen-archives.ts";

/** In order of number. A new one goes at the end; one that was released is never changed. */
export const ledgerMigrations: readonly Migration[] = [
  foundation,
  transfers,
  custody,
  buildBeat,
  s3Vaults,
  transferQueue,
  seenArchives,
];
