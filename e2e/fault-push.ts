import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { basename } from "node:path";
import type { Failure } from "../src-contract/failure.ts";
import type { RangeSource } from "../src-core/ports.ts";
import { pushPackage } from "../src-core/transfer/push-package.ts";
import { journalOf, type Scenario } from "./fault-cell.ts";
import { type FaultPackage, sha256 } from "./fault-package.ts";
import { FaultPlace } from "./fault-place.ts";
import {
  PUSH_AGAIN,
  PUSH_PARTS,
  PUSH_READ_BACK,
  PUSH_RESUMED,
  PUSH_WHOLE,
  type Step,
} from "./fault-steps.ts";
import type { FaultWorld } from "./fault-world.ts";
import type { Exchange } from "./support/fault-exchange.ts";

/** After these the journal lets a transfer begin anew; after all others it goes on where it was. */
const ENDING = new Set(["DIGEST_MISMATCH", "SOURCE_CHANGED", "OBJECT_CONFLICT"]);

async function push(place: FaultPlace, pkg: FaultPackage): Promise<string> {
  const pushed = await pushPackage({
    ...place.command(),
    engagement: pkg.seal.engagement,
    seal: pkg.seal,
    sealBytes: pkg.sealBytes,
    archive: memorySource(pkg.archive),
    manifestFile: pkg.manifestFile,
    signatureFiles: [pkg.signatureFile],
    actor: "device-a",
  });
  assert.equal(pushed.bytes, pkg.archive.length);
  assert.equal(pushed.method, pushed.stored?.method ?? "not recorded");
  return "ok";
}

function memorySource(bytes: Buffer): RangeSource {
  return {
    size: bytes.length,
    read: async (offset, target) => void bytes.copy(target, 0, offset, offset + target.length),
    close: async () => undefined,
  };
}

/** The package lies in the store as it was sealed, and nothing else of it does. */
async function checkStored(place: FaultPlace, { keys, ...pkg }: FaultPackage): Promise<void> {
  const all = await place.keys();
  const records = all.filter((key) => key.startsWith(keys.storedPrefix));
  const signature = `${keys.signaturesPrefix}${basename(pkg.signatureFile)}`;
  const expected = [keys.archive, keys.manifest, keys.seal, signature, ...records];
  assert.deepEqual([...all].sort(), expected.sort());
  const archive = (await place.bytes(keys.archive)) ?? Buffer.alloc(0);
  assert.equal(sha256(archive), pkg.archiveSha256, "the archive's SHA-256");
  assert.deepEqual(await place.bytes(keys.seal), pkg.sealBytes);
  assert.deepEqual(await place.bytes(keys.manifest), pkg.manifest);
  assert.deepEqual(await place.bytes(signature), pkg.signature);
  assert.ok(records.length > 0, "no record");
  const methods = new Set<string>();
  for (const record of records) {
    const { method, packageDigest, size, version } = JSON.parse(String(await place.bytes(record)));
    methods.add(method);
    assert.deepEqual([packageDigest, size], [pkg.packageDigest, archive.length]);
    assert.equal(`"${version}"`, await place.etag(keys.archive));
    if (method === "etag of the parts") assert.equal(version, etagOf(archive, pkg.seal.partSize));
    else assert.deepEqual([method, readBack(place, keys.archive, archive.length)], ["read back", true]);
  }
  assert.equal(records.length, methods.size, "several records of one check");
  assert.deepEqual(await place.uploads(), [], "uploads that were left");
}

const md5 = (bytes: Uint8Array) => createHash("md5").update(bytes).digest();

function etagOf(archive: Buffer, partSize: number): string {
  const parts = Math.ceil(archive.length / partSize);
  if (parts === 1) return md5(archive).toString("hex");
  const digests = Array.from({ length: parts }, (_, part) =>
    md5(archive.subarray(part * partSize, (part + 1) * partSize)),
  );
  return `${md5(Buffer.concat(digests)).toString("hex")}-${parts}`;
}

/** Whether the device has really had every byte of an object. */
function readBack({ proxy }: FaultPlace, key: string, size: number): boolean {
  const came = proxy.exchanges.filter((entry) => entry.operation === "get" && entry.key.endsWith(key));
  return came.reduce((sum, { sent }) => sum + sent, 0) >= size;
}

/** seal.json is not there, or everything is: the answer to the last step may be lost. */
async function checkNotStored(place: FaultPlace, pkg: FaultPackage): Promise<void> {
  if ((await place.bytes(pkg.keys.seal)) === null) return;
  const archive = (await place.bytes(pkg.keys.archive)) ?? Buffer.alloc(0);
  assert.equal(sha256(archive), pkg.archiveSha256, "seal.json is there, but another archive");
  assert.deepEqual(await place.bytes(pkg.keys.manifest), pkg.manifest);
}

/**
 * Nothing that the store has said to have is sent again, in no run, unless it is removed or the store says itself that it has it no more. What it said
 * in a silent run may have come too late to be heard.
 */
function checkSent(place: FaultPlace): void {
  const told = new Set<number>();
  for (const { at, operation, part = 0, status, fault } of place.proxy.exchanges) {
    if (operation === "delete" || (status === 404 && operation !== "head")) told.clear();
    if (operation !== "upload-part") continue;
    assert.ok(!told.has(part), `part ${part} was sent again`);
    if (status === 200 && fault === undefined && !place.wasSilent(at)) told.add(part);
  }
}

interface PushScenario extends Pick<Scenario, "name" | "steps"> {
  readonly archive: "threeParts" | "twoParts" | "onePart";
  /** By a device that was never told what the store honours. */
  readonly unprobed?: boolean;
  readonly prepare?: (place: FaultPlace, pkg: FaultPackage) => Promise<void>;
}

function pushScenario(world: () => FaultWorld, scenario: PushScenario): Scenario {
  const { name, steps, archive, unprobed = false, prepare } = scenario;
  const pkg = () => world()[archive];
  return {
    name,
    steps,
    good: "ok",
    async open() {
      const place = await FaultPlace.open(world().bucket, { unprobed });
      await prepare?.(place, pkg());
      return place;
    },
    run: (place) => push(place, pkg()),
    async checkDone(place) {
      await checkStored(place, pkg());
      checkSent(place);
      assert.deepEqual(journalOf(place), { state: "stored", code: null });
      await place.remove(pkg().keys.archive);
    },
    async checkStopped(place, failure) {
      await checkNotStored(place, pkg());
      checkSent(place);
      checkJournal(place, failure);
    },
    replace: (place, by) => {
      const { keys, archive: sealed } = pkg();
      return place.put(keys.archive, by === "sealed" ? sealed : Buffer.alloc(sealed.length, by));
    },
  };
}

function checkJournal(place: FaultPlace, { code }: Failure): void {
  const journal = journalOf(place);
  assert.equal(journal.code, code);
  assert.equal(journal.state === "failed", ENDING.has(code), `state ${journal.state} after ${code}`);
}

export function pushScenarios(world: () => FaultWorld): readonly Scenario[] {
  const isPart = ({ operation }: Step) => operation === "upload-part";
  const others = PUSH_PARTS.filter((step) => !isPart(step));
  const scenarios: readonly PushScenario[] = [
    { name: "push, each part", steps: PUSH_PARTS.filter(isPart), archive: "threeParts" },
    { name: "push, archive in parts", steps: others, archive: "twoParts" },
    { name: "push, resumed", steps: PUSH_RESUMED, archive: "twoParts", prepare: stopAtLastPart },
    {
      name: "push, archive in one request",
      steps: PUSH_WHOLE,
      archive: "onePart",
      prepare: (place, { keys }) => place.leaveUpload(keys.archive),
    },
    { name: "push, read back", steps: PUSH_READ_BACK, archive: "onePart", unprobed: true },
  ];
  return [...scenarios.map((scenario) => pushScenario(world, scenario)), pushAgain(world)];
}

async function stopAtLastPart(place: FaultPlace, pkg: FaultPackage): Promise<void> {
  await place.reconnect(false);
  const refusal = { status: 500, code: "InternalError" };
  const times = Number.POSITIVE_INFINITY;
  place.proxy.rule({ operation: "upload-part", part: 2, times, fault: { kind: "refuse", refusal } });
  await assert.rejects(push(place, pkg));
  place.proxy.clearRules();
}

/** The push of a package that another device has stored. */
function pushAgain(world: () => FaultWorld): Scenario {
  return {
    name: "push of a stored package",
    steps: PUSH_AGAIN,
    good: "ok",
    async open() {
      const { bucket, onePart } = world();
      const other = await FaultPlace.open(bucket);
      await push(other, onePart);
      await other.close();
      return FaultPlace.open(bucket, { prefix: other.prefix });
    },
    run: (place) => push(place, world().onePart),
    async checkDone(place) {
      checkUntouched(place);
      assert.deepEqual(journalOf(place), { state: "stored", code: null });
    },
    async checkStopped(place, failure) {
      checkUntouched(place);
      checkJournal(place, failure);
    },
  };
}

/** The store took nothing from this device, so that all is as it was; where no record could be read, the archive was checked anew, and recorded. */
function checkUntouched({ proxy }: FaultPlace): void {
  const taken = proxy.exchanges.filter(
    ({ method, storeStatus = 0 }) =>
      /^(PUT|POST|DELETE)$/.test(method) && storeStatus < 300 && storeStatus > 0,
  );
  const isRecord = ({ method, key }: Exchange) => method === "PUT" && /\/stored\/[^/]+\.json$/.test(key);
  assert.deepEqual(
    taken.filter((exchange) => !isRecord(exchange)),
    [],
    "something stored was written again or removed",
  );
}
