import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Makes the tag manifests of an unpacked bag vouch for its tag files as they are now. */
export function retagFolder(bag: string): void {
  for (const name of readdirSync(bag).filter((file) => file.startsWith("tagmanifest-"))) {
    const algorithm = name.slice("tagmanifest-".length, -".txt".length);
    const listed = readFileSync(join(bag, name), "utf8").trimEnd().split("\n");
    const lines = listed.map((line) => {
      const path = line.slice(line.indexOf("  ") + 2);
      return `${createHash(algorithm)
        .update(readFileSync(join(bag, path)))
        .digest("hex")}  ${path}\n`;
    });
    writeFileSync(join(bag, name), lines.join(""));
  }
}
