import { lookup } from "mime-types";
import { FIRST_SIGNATURE, SIGNATURES, type Signature, TEXT, UNKNOWN } from "./content-kind.ts";

const TEXTUAL =
  /^text\/|json|xml|yaml|toml|javascript|ecmascript|typescript|x-sh|sql|csv|html|svg|x-httpd|x-pem|pgp|pkix|x-x509|mbox|rfc822|calendar|vcard|latex|x-tex|x-perl|x-python|graphql|ndjson|x-subrip|mp2t/;
/** Types whose content a signature would have shown: a name that promises one of these and does not hold it is a mismatch. */
const SIGNED_TYPES = new Set(
  SIGNATURES.map((s) => s.type).filter(
    (type) => !/octet-stream|x-ole|x-mach|x-elf|java-vm|audio\/mpeg/.test(type),
  ),
);
const UNTYPED = "application/octet-stream";

const byExtension = new Map<string, string | null>();

function typeByName(path: string): string | null {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  if (dot < 0) return null;
  const extension = name.slice(dot + 1).toLowerCase();
  let type = byExtension.get(extension);
  if (type === undefined) {
    const found = lookup(extension);
    type = found === false || found === UNTYPED ? null : found;
    if (byExtension.size < 10_000) byExtension.set(extension, type);
  }
  return type;
}

/**
 * Media type from content (`kind` as `sniff` told it) and name. `byName` is set only where the name promises another type than
 * the content shows.
 */
export function mediaTypes(
  kind: number,
  path: string,
  size: number,
): { readonly type: string; readonly byName: string | null } {
  const byName = typeByName(path);
  if (size === 0) return { type: byName ?? UNTYPED, byName: null };
  if (kind >= FIRST_SIGNATURE) {
    const { type, family } = SIGNATURES[kind - FIRST_SIGNATURE] as Signature;
    if (byName === null || byName === type) return { type, byName: null };
    return family?.test(byName) ? { type: byName, byName: null } : { type, byName };
  }
  const shown = kind === TEXT ? "text/plain" : UNTYPED;
  if (byName === null) return { type: shown, byName: null };
  const broken = SIGNED_TYPES.has(byName) || (kind === UNKNOWN && TEXTUAL.test(byName));
  return broken ? { type: shown, byName } : { type: byName, byName: null };
}
