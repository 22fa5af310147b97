import { describe, expect, test } from "vitest";
import type { Failure } from "../src-contract/failure.ts";
import type { VerificationReport } from "../src-contract/findings.ts";
import type { FileRecord } from "../src-contract/manifest.ts";
import type { BuildResult, PackageSummary, VaultApi } from "../src-contract/vault-api.ts";
import { fakeVault, notAsked, strongroom } from "./run-fixtures.ts";

const ID = "0197f3a2-0000-7000-8000-000000000001";

function report(more: Partial<VerificationReport>): VerificationReport {
  return {
    target: "x.tar",
    verdict: "valid",
    method: "sealed archive",
    sealed: true,
    packageDigest: "ab".repeat(32),
    counts: { files: 2, bytes: 2048, parts: 1, errors: 0, warnings: 0 },
    findings: [],
    signatures: [],
    started: "2026-11-21T10:00:00Z",
    finished: "2026-11-21T10:00:01Z",
    ...more,
  };
}

const summary: PackageSummary = {
  id: ID,
  name: "week-1",
  title: null,
  engagement: "acme-2026",
  phase: null,
  retentionClass: null,
  holding: "held",
  storedIn: null,
  lastVerified: null,
  files: 2,
  payloadSize: 2048,
  archiveSize: 10240,
  sealed: "2026-11-21T10:00:00Z",
  packageDigest: "ab".repeat(32),
};
const built: BuildResult = {
  preflight: { files: 2, bytes: 2048, emptyFolders: 0, omitted: 0, findings: [] },
  package: summary,
  signed: false,
};

describe("package build", () => {
  test("prints the id alone on the first line, and nothing else when quiet", async () => {
    const vault = fakeVault({ packageBuild: async () => ({ ok: true, value: built }) });
    const argv = ["package", "build", "acme-2026", "x", "--name", "week-1"];
    const full = await strongroom(argv, { vault });
    expect(full.out.split("\n")[0]).toBe(ID);
    expect(full.exitCode).toBe(0);
    expect(vault.closed()).toBe(true);
    expect((await strongroom([...argv, "--quiet"], { vault })).out).toBe(`${ID}\n`);
    const json = await strongroom([...argv, "--json"], { vault });
    expect(JSON.parse(json.out)).toEqual({ ok: true, value: built });
  });

  test("maps every option to the request; the passphrase comes from the environment or the terminal", async () => {
    const requests: unknown[] = [];
    const vault = fakeVault({
      packageBuild: async (request) => {
        requests.push(request);
        return { ok: true, value: built };
      },
    });
    const argv = "package build acme-2026 a b --name n --title T --producer P --subject S --digest sha512";
    const more = "--class c --phase p --meta k=v=w --meta l= --reference --dry-run --include-litter";
    const line = `${argv} ${more} --store-non-unicode --key k.pem`.split(" ");
    await strongroom(line, { vault, env: { STRONGROOM_KEY_PASSPHRASE: "from env" } });
    await strongroom(line, { vault, secret: "typed" });
    const request = {
      engagement: "acme-2026",
      sources: ["a", "b"],
      name: "n",
      title: "T",
      producer: "P",
      subject: "S",
      digest: "sha512",
      retentionClass: "c",
      phase: "p",
      metadata: { k: "v=w", l: "" },
      mode: "reference",
      dryRun: true,
      includeLitter: true,
      storeNonUnicode: true,
      keyFile: "k.pem",
    };
    expect(requests).toEqual([
      { ...request, keyPassphrase: "from env" },
      { ...request, keyPassphrase: "typed" },
    ]);
  });

  test("draws progress on a terminal only, never with --json, and erases it", async () => {
    const vault = fakeVault({
      packageBuild: async (_, options) => {
        options?.onProgress?.({ phase: "hash", done: 1, total: 2, unit: "files" });
        return { ok: true, value: built };
      },
    });
    const argv = ["package", "build", "acme-2026", "x", "--name", "n"];
    const onTerminal = await strongroom(argv, { vault, err: { isTTY: true } });
    const [before, drawn, after] = onTerminal.err.split("\r\u001b[2K");
    expect([before, after]).toEqual(["", ""]);
    expect(drawn).toMatch(/^hash /);
    expect((await strongroom(argv, { vault })).err).toBe("");
    expect((await strongroom([...argv, "--json"], { vault, err: { isTTY: true } })).err).toBe("");
    const dumb = await strongroom(argv, { vault, err: { isTTY: true }, env: { TERM: "dumb" } });
    expect(dumb.err).toBe("");
    const widthUnknown = await strongroom(argv, { vault, err: { isTTY: true, columns: 0 } });
    expect(widthUnknown.err).toContain("1 of 2 files");
  });
});

describe("package push", () => {
  test("shows on a terminal what it waits for and until when, never with --json", async () => {
    const pushed = { package: ID, vault: "office", bytes: 2048, alreadyStored: false, method: "read back" };
    const vault = fakeVault({
      packagePush: async (_, options) => {
        const cause = {
          code: "VAULT_UNREACHABLE",
          message: "Nothing listens there.",
          nextStep: "Wait.",
        } as const;
        options?.onWait?.({ cause, nextTry: new Date(Date.now() + 8000).toISOString() });
        return { ok: true, value: pushed };
      },
    });
    const argv = ["package", "push", ID];
    const { err } = await strongroom(argv, { vault, err: { isTTY: true } });
    expect(err).toMatch(/waiting +next try in [78] s {2}Nothing listens there\./);
    expect(err.endsWith("\r\u001b[2K")).toBe(true);
    expect((await strongroom(argv, { vault })).err).toBe("");
    expect((await strongroom([...argv, "--json"], { vault, err: { isTTY: true } })).err).toBe("");
  });

  test.each([
    [false, "Stored in vault office", /^ +Check +every byte was read back/m],
    [
      true,
      "Already stored in vault office",
      /^ +Check +not now; the record of its storing says: every byte/m,
    ],
  ])(
    "tells a check of this run from one of the record (already stored: %s)",
    async (alreadyStored, first, check) => {
      const value = { package: ID, vault: "office", bytes: 2048, alreadyStored, method: "read back" };
      const vault = fakeVault({ packagePush: async () => ({ ok: true, value }) });
      const { out } = await strongroom(["package", "push", ID], { vault });
      expect(out.split("\n")[0]).toBe(first);
      expect(out).toMatch(check);
    },
  );
});

describe("verify", () => {
  async function verify(outcome: Awaited<ReturnType<VaultApi["verify"]>>, ...flags: readonly string[]) {
    return await strongroom(["verify", "x.tar", ...flags], {
      vault: fakeVault({ verify: async () => outcome }),
    });
  }

  test("valid: 0", async () => {
    const { exitCode, out } = await verify({ ok: true, value: report({}) });
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^VALID {2}x\.tar\n/);
    expect(out).toContain("nobody signed this package");
  });

  test("not valid: 1, and the file is named", async () => {
    const value = report({
      verdict: "not valid",
      counts: { files: 2, bytes: 2048, errors: 1, warnings: 0 },
      findings: [{ code: "DIGEST", severity: "error", path: "data/a", rule: "RFC 8493", message: "differs" }],
      signatures: [{ fingerprint: "cd".repeat(32), state: "invalid", file: "s.json" }],
    });
    const { exitCode, out } = await verify({ ok: true, value });
    expect(exitCode).toBe(1);
    expect(out).toMatch(/^NOT VALID {2}x\.tar\n/);
    expect(out).toContain("data/a: differs");
    expect(out).toContain("1 signature, 1 INVALID");
    const json = await verify({ ok: true, value }, "--json");
    expect(json.exitCode).toBe(1);
    expect(JSON.parse(json.out)).toEqual({ ok: true, value });
  });

  test("attested: 2, unless accepted", async () => {
    const outcome = {
      ok: true,
      value: report({ verdict: "attested", method: "attested by the store" }),
    } as const;
    const refused = await verify(outcome, "--remote");
    expect(refused.exitCode).toBe(2);
    expect(refused.out).toMatch(/^ATTESTED {2}/);
    expect(refused.out).not.toContain("Content");
    expect(refused.err).toMatch(/^error: .+\nnext: .+--accept-attested.+\n$/);
    const json = await verify(outcome, "--remote", "--json");
    expect(json.exitCode).toBe(2);
    expect(JSON.parse(json.out)).toMatchObject({ ok: false, failure: { code: "ATTESTED_ONLY" } });
    expect((await verify(outcome, "--remote", "--accept-attested")).exitCode).toBe(0);
  });

  test("--accept-attested without --remote is refused: nothing is attested then", async () => {
    const { exitCode, out, err } = await verify({ ok: true, value: report({}) }, "--accept-attested");
    expect([exitCode, out]).toEqual([2, ""]);
    expect(err).toMatch(/^error: --accept-attested is for --remote/);
    const json = await verify({ ok: true, value: report({}) }, "--accept-attested", "--json");
    expect(JSON.parse(json.out)).toMatchObject({ ok: false, failure: { code: "INVALID_INPUT" } });
  });

  test("of a package in a vault, what was proven and what was not is said in the report's own words", async () => {
    const proof = {
      basis: "recorded version" as const,
      proven: ["Size and ETag are those recorded when it was stored on 2026-03-14 09:26 UTC by \u001bevil."],
      notProven: ["What lies on the store's disks now."],
    };
    const attested = report({ verdict: "attested", method: "attested by the store", proof });
    const { out } = await verify({ ok: true, value: attested }, "--remote", "--accept-attested");
    expect(out).toContain("\n  Proven\n    Size and ETag are those recorded when it was stored");
    expect(out).toContain("by \\x1bevil.");
    expect(out).toContain("\n  Not proven\n    What lies on the store's disks now.\n");
    expect(out).toMatch(/^ +Signatures +not looked at$/m);
    const doubtful = report({ verdict: "not verified", method: "looked up in the vault", proof });
    const looked = await verify({ ok: true, value: doubtful }, "--remote");
    expect(looked.exitCode).toBe(2);
    expect(looked.out).toMatch(/^COULD NOT BE VERIFIED {2}/);
    expect(looked.out).toMatch(/^ +Method +the archive was looked up in the vault; no byte of it was read$/m);
    const read = report({ method: "stored archive", proof: { ...proof, basis: "every part read" } });
    expect((await verify({ ok: true, value: read }, "--remote", "--full")).out).toMatch(/^VERIFIED {2}/);
  });

  test("files of a damaged part are named, as many as a person reads", async () => {
    const files = Array.from({ length: 30 }, (_, number) => `data/${number}.txt`);
    const value = report({
      verdict: "not valid",
      method: "stored archive",
      findings: [{ code: "PART_DIFFERS", severity: "error", rule: "r", message: "Part 2 differs.", files }],
    });
    const { out } = await verify({ ok: true, value }, "--remote", "--full");
    expect(out).toContain("      file      data/19.txt\n      and 10 more");
    expect(out).not.toContain("data/20.txt");
  });

  test("of an archive in a vault no files are counted: none was looked at", async () => {
    const counts = { files: 0, bytes: 2048, parts: 1, errors: 0, warnings: 0 };
    const { out } = await verify({ ok: true, value: report({ method: "stored archive", counts }) });
    expect(out).toMatch(/^ +Content +2\.0 KiB, 1 part$/m);
  });

  test("a failure: 2, with its own verdict line", async () => {
    const failure: Failure = { code: "PATH_NOT_FOUND", message: "x.tar does not exist.", nextStep: "Check." };
    const { exitCode, out, err } = await verify({ ok: false, failure });
    expect(exitCode).toBe(2);
    expect(out).toBe("COULD NOT BE VERIFIED\n");
    expect(err).toBe("error: x.tar does not exist.\nnext: Check.\n");
  });

  test("a package of which nothing can be compared is not valid: 1", async () => {
    const failure: Failure = { code: "NOT_VALID", message: "The archive has no part.", nextStep: "Ask." };
    const { exitCode, out } = await verify({ ok: false, failure }, "--remote");
    expect([exitCode, out]).toEqual([1, "NOT VALID\n"]);
  });

  test("colour on a terminal, none where NO_COLOR is set", async () => {
    const vault = fakeVault({ verify: async () => ({ ok: true, value: report({}) }) });
    const argv = ["verify", "x.tar"];
    expect((await strongroom(argv, { vault, out: { isTTY: true } })).out).toContain("\u001b[");
    const plain = await strongroom(argv, { vault, out: { isTTY: true }, env: { NO_COLOR: "1" } });
    expect(plain.out).not.toContain("\u001b");
  });
});

describe("package files", () => {
  const record = (index: number): FileRecord => ({
    path: `data/${index}\u202e.txt`,
    size: index,
    sha256: "ab".repeat(32),
    offset: 512,
    mediaType: "text/plain",
    modified: "2026-11-21T10:00:00Z",
  });
  /** A package of 25,000 files; pages from `failFrom` on cannot be read. */
  const vaultOf = (failFrom = Number.POSITIVE_INFINITY) =>
    fakeVault({
      packageFiles: async ({ offset = 0, limit = 1000 }) => {
        if (offset >= failFrom) return { ok: false, failure: notAsked };
        const length = Math.min(limit, 25_000 - offset);
        return {
          ok: true,
          value: { total: 25_000, files: Array.from({ length }, (_, i) => record(offset + i)) },
        };
      },
    });

  test("prints every page", async () => {
    const text = await strongroom(["package", "files", "0197f3a2"], { vault: vaultOf() });
    expect(text.out.trimEnd().split("\n")).toHaveLength(25_001);
    expect(text.out).toContain("data/24999\\u202e.txt");
    const json = await strongroom(["package", "files", "0197f3a2", "--json"], { vault: vaultOf() });
    const { ok, value } = JSON.parse(json.out);
    expect([ok, value.total, value.files.length]).toEqual([true, 25_000, 25_000]);
    expect(value.files[24_999]).toEqual(record(24_999));
  });

  test("a long media type is cut, so that paths stand in line", async () => {
    const mediaType = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    const files = [record(0), { ...record(1), mediaType }];
    const vault = fakeVault({ packageFiles: async () => ({ ok: true, value: { total: 2, files } }) });
    const { out } = await strongroom(["package", "files", "0197f3a2"], { vault });
    const [heading, ...lines] = out.trimEnd().split("\n");
    const column = heading?.indexOf("PATH");
    expect(lines.map((line) => line.indexOf("data/"))).toEqual([column, column]);
  });

  test("a page that cannot be read makes the whole a failure, in a document that still parses", async () => {
    const json = await strongroom(["package", "files", "0197f3a2", "--json"], { vault: vaultOf(20_000) });
    expect(json.exitCode).toBe(2);
    expect(JSON.parse(json.out)).toMatchObject({ ok: false, failure: notAsked });
    const text = await strongroom(["package", "files", "0197f3a2"], { vault: vaultOf(20_000) });
    expect(text.exitCode).toBe(2);
    expect(text.err).toContain("error: ");
  });
});

describe("streams and faults", () => {
  const vault = fakeVault({ engagementList: async () => ({ ok: true, value: [] }) });

  test("a reader that left is no failure", async () => {
    const error = Object.assign(new Error("write EPIPE"), { code: "EPIPE" });
    const { exitCode, err } = await strongroom(["engagement", "list"], { vault, out: { error } });
    expect([exitCode, err]).toEqual([0, ""]);
  });

  test("output that cannot be written is one", async () => {
    const error = Object.assign(new Error("write ENOSPC"), { code: "ENOSPC" });
    const { exitCode, err } = await strongroom(["engagement", "list"], { vault, out: { error } });
    expect(exitCode).toBe(2);
    expect(err).toMatch(/^error: The output could not be written/);
  });

  test("a fault of the program ends with 2, never with the 1 that says not valid", async () => {
    const broken = fakeVault({
      engagementList: () => Promise.reject(new Error("broken\u001b")),
    });
    const { exitCode, err } = await strongroom(["engagement", "list"], { vault: broken });
    expect(exitCode).toBe(2);
    expect(err).toContain("error: Unexpected fault: broken\\x1b\n");
    expect(broken.closed()).toBe(true);
    const json = await strongroom(["engagement", "list", "--json"], { vault: broken });
    expect(JSON.parse(json.out)).toMatchObject({ ok: false, failure: { code: "INTERNAL" } });
  });
});
