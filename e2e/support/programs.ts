import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";

/** Where administrators' programs lie that are on no ordinary user's PATH. */
const SYSTEM_FOLDERS = ["/usr/sbin", "/sbin"];

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Those of the programs that are not installed here. */
export async function missingPrograms(programs: readonly string[]): Promise<string[]> {
  const folders = [...(process.env.PATH ?? "").split(delimiter), ...SYSTEM_FOLDERS];
  const missing: string[] = [];
  for (const program of programs) {
    const found = await Promise.all(folders.map((folder) => isProgram(join(folder, program))));
    if (!found.includes(true)) missing.push(program);
  }
  return missing;
}
