import { randomFillSync } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

const MIB = 1024 * 1024;
const FILES_PER_FOLDER = 500;
const EXTENSIONS = ["json", "log", "txt", "bin"];

/** A folder with one file of random bytes; made once, used by all later runs. */
export function oneLargeFile(scratch: string, mebibytes: number): { folder: string; file: string } {
  const folder = join(scratch, `one-${mebibytes}-mib`);
  const file = join(folder, "disk.img");
  if (existsSync(file)) return { folder, file };
  mkdirSync(folder, { recursive: true });
  const bytes = Buffer.alloc(MIB);
  const partial = `${folder}.part`;
  const descriptor = openSync(partial, "w");
  for (let i = 0; i < mebibytes; i++) writeSync(descriptor, randomFillSync(bytes));
  fsyncSync(descriptor);
  closeSync(descriptor);
  renameSync(partial, file);
  return { folder, file };
}

/** A folder with `count` files of so many bytes, 500 to a folder. */
export function manySmallFiles(scratch: string, count: number, size = 4096): string {
  const folder = join(scratch, `small-${count}-${size}`);
  if (existsSync(folder)) return folder;
  const partial = `${folder}.part`;
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < count; i++) {
    const inside = join(partial, `case-${String(Math.floor(i / FILES_PER_FOLDER)).padStart(4, "0")}`);
    if (i % FILES_PER_FOLDER === 0) mkdirSync(inside, { recursive: true });
    const name = `record-${String(i).padStart(7, "0")}.${EXTENSIONS[i % EXTENSIONS.length]}`;
    writeFileSync(join(inside, name), randomFillSync(bytes));
  }
  renameSync(partial, folder);
  return folder;
}
