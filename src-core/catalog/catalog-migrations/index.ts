import type { Migration } from "../database.ts";
import { packages } from "./0010-packages.ts";
import { vaultPackages } from "./0020-vault-packages.ts";

/** In order of number. A new one goes at the end; one that was released is never changed. */
export const catalogMigrations: readonly Migration[] = [packages, vaultPackages];
