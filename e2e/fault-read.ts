import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { verifySignature } from "../src-core/custody/signature.ts";
import { attestStored } from "../src-core/transfer/attest-stored.ts";
import { findStored, pullManifest, pullPackage } from "../src-core/transfer/pull-package.ts";
import { withRetry } from "../src-core/transfer/steady-vault.ts";
import { writeStoredRecord } from "../src-core/transfer/stored-record.ts";
import type { StoredVerdict } from "../src-core/transfer/stored-verdict.ts";
import { verifyStored } from "../src-core/transfer/verify-stored.ts";
import type { Scenario } from "./fault-cell.ts";
import { type FaultPackage, sha256 } from "./fault-package.ts";
import { FaultPlace } from "./fault-place.ts";
import { ATTEST, PULL, type Step, VERIFY } from "./fault-steps.ts";
import type { FaultWorld } from "./fault-world.ts";

/** A device without the package, and a vault in which it was stored past the engine, since S3 would not have it in such small parts. */
async function storedPlace({ bucket, fourParts: pkg }: FaultWorld): Promise<FaultPlace> {
  const place = await FaultPlace.open(bucket);
  const { vault } = place;
  const { keys, seal, packageDigest } = pkg;
  const archive = await vault.put(keys.archive, pkg.archive);
  await vault.put(keys.manifest, pkg.manifest);
  await vault.put(`${keys.signaturesPrefix}${basename(pkg.signatureFile)}`, pkg.signature);
  const method = "etag of the parts";
  const facts = { packageId: seal.packageId, packageDigest, archive, method, actor: "device-a", now: 0 };
  await writeStoredRecord(vault, keys, { ...facts, method }, false);
  await vault.put(keys.seal, pkg.sealBytes);
  return place;
}

/** One byte of the second part is another. */
function damagedArchive({ archive, seal }: FaultPackage): Buffer {
  const damaged = Buffer.from(archive);
  const at = seal.partSize + 100;
  damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at);
  return damaged;
}

function question(place: FaultPlace, { seal, sealBytes, packageDigest }: FaultPackage) {
  return { ...place.command(), seal, sealBytes, packageDigest, sealFromVault: false, knownStored: true };
}

const verify = async (place: FaultPlace, pkg: FaultPackage) =>
  word(await verifyStored({ ...question(place, pkg), manifest: null, known: true }));
const attest = async (place: FaultPlace, pkg: FaultPackage) =>
  word(await attestStored({ ...question(place, pkg), remembered: null }));

function word({ verdict, signatures, proof }: StoredVerdict): string {
  if (verdict === "valid") {
    assert.equal(proof.basis, "every part read");
    assert.deepEqual(
      signatures.map(({ state }) => state),
      ["valid"],
    );
  }
  return verdict;
}

interface Reading extends Pick<Scenario, "name" | "steps" | "good"> {
  /** The archive in the vault is not as it was when it was stored and recorded. */
  readonly damaged?: boolean;
  readonly run: (place: FaultPlace, pkg: FaultPackage) => Promise<string>;
  /** `word` is null when the command failed; absent where a verdict is all that there is. */
  readonly check?: (place: FaultPlace, pkg: FaultPackage, word: string | null) => Promise<void>;
}

function reading(world: () => FaultWorld, { damaged, run, check, ...rest }: Reading): Scenario {
  const pkg = () => world().fourParts;
  const replace = (place: FaultPlace, by: "others" | "sealed") =>
    place.put(pkg().keys.archive, by === "sealed" ? pkg().archive : damagedArchive(pkg()));
  return {
    ...rest,
    async open() {
      const place = await storedPlace(world());
      if (damaged === true) await replace(place, "others");
      return place;
    },
    run: (place) => run(place, pkg()),
    checkDone: async (place, word) => check?.(place, pkg(), word),
    checkStopped: async (place) => check?.(place, pkg(), null),
    ...(damaged === true ? {} : { replace }),
  };
}

export function readScenarios(world: () => FaultWorld): readonly Scenario[] {
  const few = (steps: readonly Step[], ...names: readonly string[]) =>
    steps.filter(({ name }) => names.includes(name));
  const scenarios: readonly Reading[] = [
    { name: "pull", steps: PULL, run: pull, good: "ok", check: checkPulled },
    { name: "verify --remote", steps: ATTEST, run: attest, good: "attested" },
    { name: "verify --remote --full", steps: VERIFY, run: verify, good: "valid" },
    {
      name: "verify --remote, archive damaged",
      steps: few(ATTEST, "archive?", "record"),
      ...{ run: attest, good: "not verified", damaged: true },
    },
    {
      name: "verify --remote --full, archive damaged",
      steps: few(VERIFY, "seal", "archive?", "range 2"),
      ...{ run: verify, good: "not valid", damaged: true },
    },
  ];
  return scenarios.map((scenario) => reading(world, scenario));
}

const pulledFolder = ({ folder }: FaultPlace) => join(folder, "pulled");

/** As far as the engine goes; a folder that has been filled is emptied for the next run. */
async function pull(place: FaultPlace, pkg: FaultPackage): Promise<string> {
  const { seal } = pkg;
  const folder = pulledFolder(place);
  if ((await readdir(folder)).includes("manifest.json")) {
    await rm(folder, { recursive: true });
    await mkdir(folder);
  }
  const { engagement, packageId } = seal;
  const options = place.command();
  await pullPackage({ ...options, engagement, packageId, folder });
  const vault = withRetry(options.vault, options.retry);
  const { stored } = await findStored(vault, engagement, packageId);
  await pullManifest(vault, stored, join(folder, "manifest.json"), options);
  return "ok";
}

/**
 * A file that has its final name is right, and the seal is there only with all the rest. A signature that came damaged in the same way every time is
 * kept as any other and proves nothing.
 */
async function checkPulled(place: FaultPlace, pkg: FaultPackage, word: string | null): Promise<void> {
  const signature = join("site-a.signatures", basename(pkg.signatureFile));
  const expected = new Map([
    ["site-a.tar", pkg.archiveSha256],
    ["site-a.seal.json", pkg.packageDigest],
    [signature, sha256(pkg.signature)],
    ["manifest.json", pkg.seal.manifestSha256],
  ]);
  const folder = pulledFolder(place);
  const found = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && !entry.name.startsWith("."))
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
  for (const name of found) {
    const bytes = await readFile(join(folder, name));
    if (sha256(bytes) === expected.get(name)) continue;
    assert.equal(name, signature, "a file is not what was sealed");
    assert.equal(verifySignature(basename(name), bytes, pkg.packageDigest).check.state, "invalid");
  }
  if (word === "ok") assert.deepEqual(found.sort(), [...expected.keys()].sort());
  else if (found.includes("site-a.seal.json")) assert.ok(found.length >= 3, "the seal without the rest");
}
