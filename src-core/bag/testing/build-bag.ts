import { createHash } from "node:crypto";
import { createWriteStream, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { gzipSync } from "node:zlib";
import { ZipFile } from "yazl";
import { tarOf } from "./build-tar.ts";

/** A bag as the bytes of its files by path. */
export type BagFiles = Map<string, Buffer>;

export interface BagPlan {
  readonly version?: string;
  readonly encoding?: string;
  readonly payload?: Readonly<Record<string, string | Buffer>>;
  readonly algorithms?: readonly string[];
  readonly tagManifests?: boolean;
  /** Changes files before the tag manifests are made, so that these vouch for the change. */
  readonly edit?: (files: BagFiles) => void;
  /** Changes files afterwards. */
  readonly spoil?: (files: BagFiles) => void;
}

export const digestHex = (algorithm: string, bytes: string | Buffer): string =>
  createHash(algorithm).update(bytes).digest("hex");

const PAYLOAD = { "data/a.txt": "alpha", "data/dir/b c.txt": "beta", "data/empty": "" };

/** A valid bag, but for what the plan changes. */
export function buildBag(plan: BagPlan = {}): BagFiles {
  const { version = "1.0", encoding = "UTF-8", algorithms = ["sha256"] } = plan;
  const payload = Object.entries(plan.payload ?? PAYLOAD).map(
    ([path, content]) => [path, Buffer.from(content)] as const,
  );
  const bytes = payload.reduce((sum, [, content]) => sum + content.length, 0);
  const files: BagFiles = new Map(payload);
  files.set(
    "bagit.txt",
    Buffer.from(`BagIt-Version: ${version}\nTag-File-Character-Encoding: ${encoding}\n`),
  );
  files.set("bag-info.txt", Buffer.from(`Title: Test\nPayload-Oxum: ${bytes}.${payload.length}\n`));
  for (const algorithm of algorithms) {
    const lines = payload.map(([path, content]) => `${digestHex(algorithm, content)}  ${encodePath(path)}\n`);
    files.set(`manifest-${algorithm}.txt`, Buffer.from(lines.join("")));
  }
  plan.edit?.(files);
  if (plan.tagManifests !== false) {
    const tags = [...files].filter(([path]) => !path.startsWith("data/"));
    for (const algorithm of algorithms) {
      const lines = tags.map(([path, content]) => `${digestHex(algorithm, content)}  ${encodePath(path)}\n`);
      files.set(`tagmanifest-${algorithm}.txt`, Buffer.from(lines.join("")));
    }
  }
  plan.spoil?.(files);
  return files;
}

const encodePath = (path: string): string =>
  path.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");

export function replaceIn(files: BagFiles, path: string, from: string | RegExp, to: string): void {
  files.set(path, Buffer.from((files.get(path)?.toString("utf8") ?? "").replace(from, to)));
}

export function appendTo(files: BagFiles, path: string, text: string): void {
  files.set(path, Buffer.concat([files.get(path) ?? Buffer.alloc(0), Buffer.from(text)]));
}

export type Form = "folder" | "tar" | "tar.gz" | "zip";

/** Writes the bag under `root` in a form, with the top folder `bag`, and returns what to validate. */
export async function writeBag(root: string, files: BagFiles, form: Form = "folder"): Promise<string> {
  if (form === "folder") {
    for (const [path, content] of files) {
      const target = join(root, "bag", path);
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, content);
    }
    return join(root, "bag");
  }
  // Named without an extension: the form must be told by content.
  const target = join(root, `archive-${form.replace(".", "")}`);
  if (form === "zip") {
    const zip = new ZipFile();
    for (const [path, content] of files) zip.addBuffer(content, `bag/${path}`);
    zip.end();
    await pipeline(zip.outputStream, createWriteStream(target));
  } else {
    const tar = tarOf([...files].map(([path, content]) => ({ name: `bag/${path}`, content })));
    writeFileSync(target, form === "tar" ? tar : gzipSync(tar));
  }
  return target;
}
