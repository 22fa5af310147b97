/** One entry of a tar for tests; anything can be wrong with it. */
export interface TestEntry {
  readonly name: string | Buffer;
  readonly content?: string | Buffer;
  readonly type?: string;
  /** Declared, when it is not that of the content. */
  readonly size?: number;
  /** Written in place of the octal size. */
  readonly sizeField?: Buffer;
  readonly link?: string;
}

const BLOCK = 512;
export const END = Buffer.alloc(2 * BLOCK);

function header(entry: TestEntry, size: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  Buffer.from(entry.name).copy(block, 0, 0, 100);
  block.write("0000644\0", 100);
  block.write("0000000\0", 108);
  block.write("0000000\0", 116);
  if (entry.sizeField === undefined) block.write(`${size.toString(8).padStart(11, "0")}\0`, 124);
  else entry.sizeField.copy(block, 124);
  block.write("00000000000\0", 136);
  block.write("        ", 148);
  block.write(entry.type ?? "0", 156);
  block.write(entry.link ?? "", 157, 100);
  block.write("ustar\u000000", 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

export function tarEntry(entry: TestEntry): Buffer {
  const content = Buffer.from(entry.content ?? "");
  const pad = Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK);
  const own = Buffer.concat([header(entry, entry.size ?? content.length), content, pad]);
  const name = Buffer.from(entry.name);
  const isPlain = name.length <= 100 && name.every((byte) => byte < 128);
  if (isPlain || (entry.type ?? "0") !== "0") return own;
  return Buffer.concat([tarEntry({ name: "pax", type: "x", content: paxRecord("path", name) }), own]);
}

export function paxRecord(key: string, value: string | Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from("\n")]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

export function tarOf(entries: readonly TestEntry[]): Buffer {
  return Buffer.concat([...entries.map(tarEntry), END]);
}
