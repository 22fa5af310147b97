import type { ManifestHeader } from "../../src-contract/manifest.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { PAYLOAD_TYPE, SIGNATURE_FILE_NAME } from "../custody/dsse.ts";

export interface HandoverFacts {
  readonly seal: Seal;
  /** SHA-256 of seal.json's bytes, hex. */
  readonly packageDigest: string;
  readonly manifest: ManifestHeader;
  /** Names of the files in `<name>.signatures/`; what is not named as a signature is left out, since the names become part of commands. */
  readonly signatureFiles: readonly string[];
}

/**
 * HOW-TO-VERIFY.txt of a handover folder, in which `<name>.tar`, `<name>.seal.json` and `<name>.signatures/` lie side by side:
 * how to verify without Strongroom, with GNU tools and OpenSSL 3. ASCII; holds no free text of the user, so that nothing in it
 * can be mistaken for an instruction. A test runs its commands.
 */
export function howToVerify(all: HandoverFacts): string {
  const signatureFiles = all.signatureFiles.filter((name) => SIGNATURE_FILE_NAME.test(name));
  const facts = { ...all, signatureFiles };
  const steps = [sealStep(facts), archiveStep(facts), filesStep(facts), signatureStep(facts)];
  const numbered = steps.map(([title, body], i) => `${i + 1}. ${title}\n\n${body}`);
  return `${[opening(facts), ...numbered, CLOSING].join("\n\n")}\n`;
}

function opening({ seal, packageDigest, manifest, signatureFiles }: HandoverFacts): string {
  return `HOW TO VERIFY THIS PACKAGE

Package         ${manifest.name}
Package id      ${manifest.packageId}
Engagement      ${manifest.engagement}
Sealed          ${manifest.sealed}
Content         ${amount(manifest.fileCount, "file")}, ${amount(manifest.payloadSize, "byte")}
Archive         ${seal.archive}, ${amount(seal.archiveSize, "byte")}
Signatures      ${signatureFiles.length === 0 ? "none" : signatureFiles.length}
Package digest  ${packageDigest}

No special program is needed: the commands below are for a Linux shell in this folder.
They unpack the archive and write a few small files here: copy the folder first if it is read-only.
macOS: write "shasum -a 256" for "sha256sum". Windows: use WSL or Git Bash, or in PowerShell
"Get-FileHash FILE" for "sha256sum FILE" and "tar xf" as it is.

${manifest.name}.custody.jsonl is what the sender's device recorded of this package. Nothing below
proves it.`;
}

function amount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function sealStep({ manifest, packageDigest }: HandoverFacts): [string, string] {
  return [
    "The seal is the one you were told of",
    `    sha256sum ${manifest.name}.seal.json

It must print ${packageDigest}
Compare this digest with the one that the sealer told you by another way (a letter, a call,
a signed report): whoever can change this folder can also change this text.`,
  ];
}

function archiveStep({ seal, manifest }: HandoverFacts): [string, string] {
  const parts = `The seal lists the SHA-256 of each of the archive's parts (${seal.parts.length} of up to ${seal.partSize} bytes). All of them:

    split -b ${seal.partSize} --filter=sha256sum ${seal.archive} | cut -c 1-64 > parts.found
    grep -o '"parts":\\[[^]]*' ${manifest.name}.seal.json | grep -oE '[0-9a-f]{64}' > parts.sealed
    cmp parts.found parts.sealed && echo "all parts are as sealed"

The first one alone (macOS has no --filter):

    head -c ${seal.partSize} ${seal.archive} | sha256sum

It must print ${seal.parts[0] ?? ""}`;
  if (seal.archiveSha256 === undefined) return ["The archive is the sealed one", parts];
  return [
    "The archive is the sealed one",
    `    sha256sum ${seal.archive}

It must print ${seal.archiveSha256}

${parts}`,
  ];
}

function filesStep({ seal, manifest }: HandoverFacts): [string, string] {
  return [
    "Every file is as sealed",
    `    tar xf ${seal.archive}
    cd ${manifest.name}
    sha256sum manifest.json tagmanifest-sha256.txt
    sha256sum --quiet -c tagmanifest-sha256.txt
    sha256sum --quiet -c manifest-sha256.txt
    find data -type f -print0 | tr -dc '\\000' | wc -c
    cd ..

The digests must be
    ${seal.manifestSha256}  manifest.json
    ${seal.tagmanifestSha256}  tagmanifest-sha256.txt
the two checks must print nothing, and the count must be ${manifest.fileCount}.
The folder is a BagIt bag (RFC 8493): any BagIt program verifies it too. File names holding %,
CR or LF are percent-encoded in manifest-sha256.txt, so these need a BagIt program.`,
  ];
}

function signatureStep({ manifest, packageDigest, signatureFiles }: HandoverFacts): [string, string] {
  if (signatureFiles.length === 0) {
    return [
      "Signatures",
      "This package is not signed: the package digest alone says that it is the one that was sealed.",
    ];
  }
  const each = signatureFiles.map((file) => `    signature=${manifest.name}.signatures/${file}`);
  return [
    "Signatures",
    `For each of these (the file name begins with the fingerprint of the signer's key; OpenSSL 3 is needed)

${each.join("\n")}

run

    sed -E 's/.*"payload":"([^"]*)".*/\\1/' $signature | base64 -d > statement.json
    sed -E 's/.*"sig":"([^"]*)".*/\\1/' $signature | base64 -d > signature.bin
    sed -E 's/.*"publicKey":"([^"]*)".*/\\1/' statement.json | base64 -d > key.der
    printf 'DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} %d ' $(wc -c < statement.json) > signed.bin
    cat statement.json >> signed.bin
    openssl pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin -in signed.bin -sigfile signature.bin
    sha256sum key.der
    grep -c '"digest":{"sha256":"${packageDigest}"}' statement.json

It must print "Signature Verified Successfully", the fingerprint, and 1. Whose key it is, the
signer must tell you: compare the fingerprint.`,
  ];
}

const CLOSING = `If anything differs, the package is not the one that was sealed. Keep this folder as it is and
ask whoever gave it to you.`;
