import { describe, expect, test } from "vitest";
import { fakeVault, notAsked, strongroom } from "./run-fixtures.ts";

describe("usage", () => {
  test.each([
    [["package"], "'strongroom package' needs one of: build, list"],
    [["package", "bild"], "Unknown command 'bild'"],
    [["package", "bild", "--help"], "Unknown command 'bild'"],
    [["help", "package", "bild"], "Unknown command 'bild'"],
    [["package", "--jsn", "list"], "Unknown option '--jsn' (Did you mean --json?)"],
    [["verify"], "Missing required argument 'target'"],
    [["verify", "x", "y"], "Too many arguments"],
    [["verify", "x", "--no-such"], "Unknown option '--no-such'"],
    [["package", "build", "acme", "x"], "'--name <name>' not specified"],
    [["package", "build", "acme", "x", "--name", "n", "--meta", "=v"], "Write it as key=value."],
    [["package", "build", "acme", "x", "--name", "n", "--meta", "k=1", "--meta", "k=2"], "given twice"],
    [["package", "build", "acme", "x", "--name", "a b"], '--name "a b": use 1 to 80'],
    [["package", "build", "UPPER", "x", "--name", "a"], '<engagement> "UPPER": use 2 to 63'],
    [["package", "build", "acme", "", "--name", "a"], '<path...> "": must not be empty'],
    [["package", "build", "acme", "x", "--name", "a", "--class", "A b"], '--class "A b"'],
    [["package", "build", "acme", "x", "--name", "a", "--title", ""], '--title "": must not be empty'],
    [["engagement", "create", "acme", "--client", "x".repeat(201)], "must have at most 200 characters"],
    [["package", "pull", "0197", "--to", "x", "--file", "data/a", "--as", "tar"], "cannot be used with"],
    [["package", "show", "xyz"], '<package> "xyz": must be a package id'],
    [["manifest", "export", "0197", "--format", "pdf", "--out", "x"], "Allowed choices are json"],
    [["engagement", "create", "\u001b[2J"], '"\\x1b[2J"'],
  ])("%j is refused with INVALID_INPUT", async (argv, message) => {
    const asText = await strongroom(argv);
    expect(asText.exitCode).toBe(2);
    expect(asText.out).toBe("");
    expect(asText.err).toMatch(/^error: .+\nnext: Run 'strongroom.* --help' to see what it takes\.\n$/);
    expect(asText.err).toContain(message);

    const asJson = await strongroom([...argv, "--json"]);
    expect(asJson.exitCode).toBe(2);
    expect(asJson.err).toBe("");
    expect(JSON.parse(asJson.out)).toMatchObject({ ok: false, failure: { code: "INVALID_INPUT" } });
  });

  test("help and version are results", async () => {
    for (const argv of [[], ["--help"], ["help"]]) {
      const shown = await strongroom(argv);
      expect(shown.exitCode).toBe(0);
      expect(shown.out).toContain("From evidence to a verified package:");
    }
    expect((await strongroom(["package", "build", "--help"])).out).toContain("Examples:");
    expect((await strongroom(["help", "verify"])).out).toContain("bag folder");
    expect((await strongroom(["--version"])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test.each([
    [["package", "build", "--help"]],
    [["help", "package", "build"]],
    [["package", "help", "build"]],
  ])("%j shows the help of the command, with the option that it cannot do without", async (argv) => {
    const { exitCode, out } = await strongroom(argv);
    expect(exitCode).toBe(0);
    expect(out).toMatch(
      /^Usage: strongroom package build --name <name> \[options\] <engagement> <path\.\.\.>\n/,
    );
  });

  test("help after a command's name is an argument of it", async () => {
    const asked: unknown[] = [];
    const vault = fakeVault({
      engagementShow: async (request) => {
        asked.push(request);
        return { ok: false, failure: notAsked };
      },
    });
    await strongroom(["engagement", "show", "help"], { vault });
    expect(asked).toEqual([{ id: "help" }]);
  });

  test("--json may stand anywhere", async () => {
    const vault = fakeVault({ vaultList: async () => ({ ok: true, value: [] }) });
    for (const argv of [
      ["--json", "vault", "list"],
      ["vault", "--json", "list"],
      ["vault", "list", "--json"],
    ]) {
      expect((await strongroom(argv, { vault })).out).toBe('{"ok":true,"value":[]}\n');
    }
  });
});
