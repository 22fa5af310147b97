import { createHash, createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { open } from "node:fs/promises";
import { asFailure, type FailureError, fail } from "../failing.ts";

const MAX_KEY_FILE_BYTES = 64 * 1024;
const HOW_TO_MAKE_ONE = "Make a key with: openssl genpkey -algorithm ed25519 -aes256 -out key.pem";

/** How a key is named everywhere: SHA-256 of the public key (SubjectPublicKeyInfo, DER), lower-case hex. */
export function fingerprint(publicKeyDer: Uint8Array): string {
  return createHash("sha256").update(publicKeyDer).digest("hex");
}

/** The public half as SubjectPublicKeyInfo, DER. */
export function publicKeyDer(privateKey: KeyObject): Buffer {
  return createPublicKey(privateKey).export({ format: "der", type: "spki" });
}

/**
 * Reads an Ed25519 private key from a PEM file in encrypted PKCS#8 (RFC 5958, RFC 8410). Throws KEY_UNUSABLE for any other key, for
 * one that is not encrypted and for a wrong passphrase; neither passphrase nor key ever is in a failure.
 */
export async function loadSigningKey(file: string, passphrase: string | undefined): Promise<KeyObject> {
  const pem = await readKeyFile(file);
  if (!pem.includes("-----BEGIN ENCRYPTED PRIVATE KEY-----")) {
    throw unusable(
      file,
      pem.includes("PRIVATE KEY-----")
        ? "holds a private key that is not encrypted as PKCS#8; an unprotected key is not used"
        : "holds no private key in PEM form",
      `Encrypt it: openssl pkcs8 -topk8 -v2 aes256 -in OLD.pem -out key.pem. ${HOW_TO_MAKE_ONE}`,
    );
  }
  if (passphrase === undefined || passphrase === "") {
    throw unusable(file, "needs its passphrase, and none was given", "Give the passphrase of the key.");
  }
  const key = decrypt(file, pem, passphrase);
  if (key.asymmetricKeyType !== "ed25519") {
    throw unusable(file, `holds a key of type ${key.asymmetricKeyType}, not Ed25519`, HOW_TO_MAKE_ONE);
  }
  return key;
}

function decrypt(file: string, pem: string, passphrase: string): KeyObject {
  try {
    return createPrivateKey({ key: pem, format: "pem", passphrase });
  } catch {
    // OpenSSL cannot tell the two apart in every case, and its error is left out so that nothing of the key can leak through it.
    throw unusable(
      file,
      "could not be decrypted: the passphrase is wrong, or the file is damaged",
      "Check the passphrase.",
    );
  }
}

async function readKeyFile(file: string): Promise<string> {
  try {
    const handle = await open(file, "r");
    try {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(MAX_KEY_FILE_BYTES + 1));
      if (bytesRead > MAX_KEY_FILE_BYTES) throw unusable(file, "is too large for a key", HOW_TO_MAKE_ONE);
      return buffer.toString("latin1", 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw asFailure(error, file);
  }
}

function unusable(file: string, what: string, nextStep: string): FailureError {
  return fail("KEY_UNUSABLE", `${file} ${what}.`, nextStep, { subject: file });
}
