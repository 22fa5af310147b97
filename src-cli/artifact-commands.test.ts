import { describe, expect, test } from "vitest";
import type { ArtifactGetResult, ArtifactPutResult, ListedArtifact } from "../src-contract/artifacts.ts";
import type { Failure } from "../src-contract/failure.ts";
import type { Request } from "../src-contract/vault-api.ts";
import { fakeVault, strongroom } from "./run-fixtures.ts";

const SHA = "ab".repeat(32);
const artifact = {
  audit: "acme-2026",
  phase: "01_recon",
  name: "hosts.json",
  key: "campaigns/acme-2026/01_recon/hosts.json",
  vault: "lake",
  size: 2048,
  sha256: SHA,
};
const AUDIT = ["--audit", "acme-2026"] as const;
const PLACE = [...AUDIT, "--phase", "01_recon"] as const;

describe("artifact put", () => {
  const answer: ArtifactPutResult = { ...artifact, mediaType: "application/json", alreadyStored: false };

  async function put(argv: readonly string[], input?: string) {
    const asked: { request: Request<"artifactPut">; content: string | null }[] = [];
    const vault = fakeVault({
      artifactPut: async (request, options) => {
        let content: string | null = null;
        if (options?.content !== undefined) {
          content = "";
          for await (const bytes of options.content) content += Buffer.from(bytes).toString();
        }
        asked.push({ request, content });
        return { ok: true, value: answer };
      },
    });
    const command = ["artifact", "put", ...PLACE, ...argv];
    return { ...(await strongroom(command, { vault, ...(input === undefined ? {} : { input }) })), asked };
  }

  test("hands over a file by its path, and says where it is now", async () => {
    const { exitCode, out, asked } = await put(["hosts.json"]);
    expect(exitCode).toBe(0);
    expect(asked).toMatchObject([{ request: { phase: "01_recon", file: "hosts.json" }, content: null }]);
    expect(out).toMatch(/^Stored in vault lake\n/);
    expect(out).toContain(artifact.key);
    expect(out).toContain(SHA);
  });

  test("- hands over standard input", async () => {
    const { exitCode, asked } = await put(["-", "--name", "feed.json"], "hello");
    expect(exitCode).toBe(0);
    expect(asked[0]).toMatchObject({ request: { name: "feed.json" }, content: "hello" });
    expect(asked[0]?.request.file).toBeUndefined();
  });

  test("audit and phase must be given, and be names", async () => {
    const missing = await strongroom(["artifact", "put", "x.json"]);
    expect([missing.exitCode, missing.err]).toEqual([2, expect.stringContaining("--audit <id>")]);
    const bad = await strongroom(["artifact", "put", "--audit", "../x", "--phase", "a/b", "x.json"]);
    expect(bad.exitCode).toBe(2);
    expect(bad.err).toContain('--audit "../x"');
    expect(bad.err).toContain('--phase "a/b"');
  });
});

describe("artifact get", () => {
  function getting(bytes: string, end: { ok: true; checked: boolean } | { ok: false; failure: Failure }) {
    return fakeVault({
      artifactGet: async (_request, options) => {
        await options?.onContent?.(Buffer.from(bytes));
        if (!end.ok) return end;
        const path = options?.onContent === undefined ? "/out/hosts.json" : null;
        const value: ArtifactGetResult = { ...artifact, path, checked: end.checked };
        const warning = { code: "VAULT_UNFIT", message: "Nothing could be checked.", nextStep: "x" } as const;
        return end.checked ? { ok: true, value } : { ok: true, value, warnings: [warning] };
      },
    });
  }
  const get = (vault: ReturnType<typeof fakeVault>, ...argv: readonly string[]) =>
    strongroom(["artifact", "get", ...PLACE, "hosts.json", ...argv], { vault });

  test("names the file that was written and whether it was checked", async () => {
    const checked = await get(getting("", { ok: true, checked: true }), "--to", "/out");
    expect(checked.out).toMatch(/^\/out\/hosts\.json\n/);
    expect(checked.out).toContain("as kept with it");
    const not = await get(getting("", { ok: true, checked: false }), "--to", "/out");
    expect(not.exitCode).toBe(0);
    expect(not.out).toContain("none: no SHA-256 is kept with it");
    expect(not.err).toContain("Nothing could be checked.");
  });

  test("to standard output goes the artifact and nothing else", async () => {
    const { exitCode, out, err } = await get(getting('{"a":1}', { ok: true, checked: true }), "--to", "-");
    expect([exitCode, out, err]).toEqual([0, '{"a":1}', ""]);
    const not = await get(getting("{}", { ok: true, checked: false }), "--to", "-");
    expect([not.exitCode, not.out]).toEqual([0, "{}"]);
    expect(not.err).toContain("Nothing could be checked.");
  });

  test("bytes that differ end with 2, whatever was written before", async () => {
    const failure: Failure = { code: "DIGEST_MISMATCH", message: "It differs.", nextStep: "Ask." };
    const { exitCode, out, err } = await get(getting("first part", { ok: false, failure }), "--to", "-");
    expect([exitCode, out, err]).toEqual([2, "first part", "error: It differs.\nnext: Ask.\n"]);
  });

  test("a terminal gets no bytes, and JSON does not share standard output with them", async () => {
    const vault = getting("\u001b]0;evil\u0007", { ok: true, checked: true });
    const argv = ["artifact", "get", ...PLACE, "hosts.json", "--to", "-"];
    const shown = await strongroom(argv, { vault, out: { isTTY: true } });
    expect([shown.exitCode, shown.out]).toEqual([2, ""]);
    expect(shown.err).toContain("could steer it");
    const json = await strongroom([...argv, "--json"], { vault });
    expect(json.exitCode).toBe(2);
    expect(JSON.parse(json.out)).toMatchObject({ ok: false, failure: { code: "INVALID_INPUT" } });
  });

  test("a reader that went away ends the fetch with 2 and without words", async () => {
    const gone = Object.assign(new Error("EPIPE"), { code: "EPIPE" });
    const failure: Failure = { code: "CANCELLED", message: "Stopped at your request.", nextStep: "x" };
    const argv = ["artifact", "get", ...PLACE, "hosts.json", "--to", "-"];
    const { exitCode, err } = await strongroom(argv, {
      vault: getting("x", { ok: false, failure }),
      out: { error: gone },
    });
    expect([exitCode, err]).toEqual([2, ""]);
  });
});

describe("artifact ls", () => {
  const listed: ListedArtifact = { ...artifact, name: "evil\u202e.json", stored: "2026-03-14T09:26:53Z" };

  test("shows names as text, and digests only where some are known", async () => {
    const list = (sha256: string | null) =>
      fakeVault({ artifactList: async () => ({ ok: true, value: [{ ...listed, sha256 }] }) });
    const known = await strongroom(["artifact", "ls", ...AUDIT], { vault: list(SHA) });
    expect(known.out).toMatch(/^PHASE +NAME +SIZE +STORED +SHA-256\n01_recon +evil\\u202e\.json +2\.0 KiB /);
    const without = await strongroom(["artifact", "ls", ...AUDIT], { vault: list(null) });
    expect(without.out).not.toContain("SHA-256");
  });

  test("says so when there is none", async () => {
    const vault = fakeVault({ artifactList: async () => ({ ok: true, value: [] }) });
    const { exitCode, out } = await strongroom(["artifact", "ls", ...PLACE], { vault });
    expect([exitCode, out]).toEqual([0, "No artifacts of audit acme-2026 in phase 01_recon.\n"]);
  });
});
