import { createHash, randomBytes } from "node:crypto";
import { z } from "zod";

/** Single entries of a keychain, each of which is read, replaced and removed as a whole. */
export interface EntryStore {
  read(name: string): Promise<Uint8Array | null>;
  write(name: string, bytes: Uint8Array): Promise<void>;
  remove(name: string): Promise<void>;
}

/**
 * What one Windows credential holds: CRED_MAX_CREDENTIAL_BLOB_SIZE in wincred.h, 5 * 512 bytes. The binding's setSecret stores bytes as
 * they are there (its setPassword would store UTF-16, half as many characters). The same on every platform, so that all are tested.
 */
export const ENTRY_BYTES = 2560;

/** A secret whose JSON fits into this many bytes lies in the head entry; what is left is for the list of leftovers. */
const INLINE_BYTES = 2048;

/** How often a reader or writer starts anew because another writer came in between. */
const ATTEMPTS = 5;

const generationSchema = z.strictObject({
  id: z.string().regex(/^[0-9a-f]{16}$/),
  chunks: z.int().min(1),
});
type Generation = z.infer<typeof generationSchema>;

const headSchema = z.strictObject({
  format: z.literal("strongroom-secret/1"),
  /** Where the secret is; null when there is none, or none any more. */
  secret: z
    .union([
      z.strictObject({ text: z.string() }),
      generationSchema.extend({ sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
    ])
    .nullable(),
  /** Generations whose chunks are to be removed: replaced ones, and those whose writer may have been killed. */
  leftovers: z.array(generationSchema),
});
type Head = z.infer<typeof headSchema>;
type Place = NonNullable<Head["secret"]>;

/** What an entry holds is not what was written: somebody else changed it, or two processes wrote at the same moment. */
export class SecretDamagedError extends Error {
  override readonly name = "SecretDamagedError";
}

/**
 * Reads a secret of any length. A long one is kept in chunks `<account>#<generation>.<number>`, and a head entry under the account's own
 * name says which generation is valid, with its digest: chunks of two generations never make one secret. Null when there is none.
 */
export async function readSecret(entries: EntryStore, account: string): Promise<string | null> {
  for (let attempt = 1; ; attempt++) {
    const place = (await readHead(entries, account))?.secret ?? null;
    if (place === null) return null;
    if ("text" in place) return place.text;
    const chunks: Uint8Array[] = [];
    for (const name of chunkNames(account, place))
      chunks.push((await entries.read(name)) ?? new Uint8Array());
    const bytes = Buffer.concat(chunks);
    if (sha256(bytes) === place.sha256) return bytes.toString("utf8");
    const now = (await readHead(entries, account))?.secret ?? null;
    const replaced = now === null || "text" in now || now.id !== place.id;
    if (!replaced || attempt === ATTEMPTS) throw new SecretDamagedError();
  }
}

/**
 * Replaces the secret. The head first names the new generation as a leftover, then its chunks are written, then the head makes it valid,
 * then the old chunks go: killed anywhere, the old secret or the new one is there whole, and the next writer removes what is left over.
 * Of two that write at the same moment one wins. Throws SecretDamagedError when no secret is there whole in the end.
 */
export async function writeSecret(entries: EntryStore, account: string, secret: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    if (await placeSecret(entries, account, secret)) {
      try {
        await readSecret(entries, account);
        return;
      } catch (error) {
        if (!(error instanceof SecretDamagedError) || attempt === ATTEMPTS) throw error;
      }
    }
    if (attempt === ATTEMPTS) throw new SecretDamagedError();
  }
}

/** Answers false when another writer took the chunks for leftovers. */
async function placeSecret(entries: EntryStore, account: string, secret: string): Promise<boolean> {
  const inline: Place = { text: secret };
  const bytes = Buffer.from(secret, "utf8");
  const place = Buffer.byteLength(JSON.stringify(inline)) <= INLINE_BYTES ? inline : newPlace(bytes);
  if (!("text" in place)) await writeChunks(entries, account, place, bytes);
  const before = await headToReplace(entries, account);
  const named = generationsIn(before);
  if (!("text" in place) && !named.some(({ id }) => id === place.id)) {
    await removeChunks(entries, account, [place]);
    return false;
  }
  const replaced = named.filter(({ id }) => "text" in place || id !== place.id);
  await writeHead(entries, account, { secret: place, leftovers: replaced });
  if (replaced.length > 0) {
    await removeChunks(entries, account, replaced);
    await writeHead(entries, account, { secret: place, leftovers: [] });
  }
  return true;
}

async function writeChunks(
  entries: EntryStore,
  account: string,
  place: Generation,
  bytes: Uint8Array,
): Promise<void> {
  const before = await headToReplace(entries, account);
  await removeChunks(entries, account, before?.leftovers ?? []);
  await writeHead(entries, account, { secret: before?.secret ?? null, leftovers: [generationOf(place)] });
  for (const [index, name] of chunkNames(account, place).entries()) {
    await entries.write(name, bytes.subarray(index * ENTRY_BYTES, (index + 1) * ENTRY_BYTES));
  }
}

/** Removes the secret and all its chunks; killed in between, the secret is gone and the next writer removes what is left over. */
export async function removeSecret(entries: EntryStore, account: string): Promise<void> {
  const head = await headToReplace(entries, account);
  const chunked = generationsIn(head);
  if (chunked.length > 0) {
    await writeHead(entries, account, { secret: null, leftovers: chunked });
    await removeChunks(entries, account, chunked);
  }
  await entries.remove(account);
}

function newPlace(bytes: Uint8Array): Exclude<Place, { text: string }> {
  return {
    id: randomBytes(8).toString("hex"),
    chunks: Math.ceil(bytes.length / ENTRY_BYTES),
    sha256: sha256(bytes),
  };
}

function generationOf({ id, chunks }: Generation): Generation {
  return { id, chunks };
}

function generationsIn(head: Head | null): Generation[] {
  if (head === null) return [];
  const { secret, leftovers } = head;
  return secret === null || "text" in secret ? leftovers : [generationOf(secret), ...leftovers];
}

function chunkNames(account: string, { id, chunks }: Generation): readonly string[] {
  return Array.from({ length: chunks }, (_, index) => `${account}#${id}.${index}`);
}

async function removeChunks(
  entries: EntryStore,
  account: string,
  generations: readonly Generation[],
): Promise<void> {
  for (const name of generations.flatMap((one) => chunkNames(account, one))) await entries.remove(name);
}

async function readHead(entries: EntryStore, account: string): Promise<Head | null> {
  const bytes = await entries.read(account);
  if (bytes === null) return null;
  try {
    return headSchema.parse(JSON.parse(Buffer.from(bytes).toString("utf8")));
  } catch {
    // The error would quote the entry, which may be a secret.
    throw new SecretDamagedError();
  }
}

/** A head that nobody can read is replaced, not kept: its secret is lost already. */
async function headToReplace(entries: EntryStore, account: string): Promise<Head | null> {
  try {
    return await readHead(entries, account);
  } catch (error) {
    if (error instanceof SecretDamagedError) return null;
    throw error;
  }
}

async function writeHead(entries: EntryStore, account: string, head: Omit<Head, "format">): Promise<void> {
  await entries.write(
    account,
    Buffer.from(JSON.stringify({ format: "strongroom-secret/1", ...head }), "utf8"),
  );
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
