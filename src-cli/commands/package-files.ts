import type { Command } from "commander";
import type { Failure, Outcome } from "../../src-contract/failure.ts";
import type { FileRecord } from "../../src-contract/manifest.ts";
import type { VaultApi } from "../../src-contract/vault-api.ts";
import { failureText } from "../failure-text.ts";
import { examples } from "../help-text.ts";
import { amountText, sizeText, TIME_COLUMNS, timeText } from "../human-text.ts";
import { jsonText } from "../json-text.ts";
import { type Session, wantsJson } from "../session.ts";
import { cutToColumns, visible } from "../terminal-text.ts";

/** A page is what is held in memory; a package may list millions of files. */
const PAGE = 10_000;
/** Most media types fit; a longer one is cut, since the paths after it must stay in line. --json gives it whole. */
const TYPE_COLUMNS = 24;

interface Page {
  readonly total: number;
  readonly files: readonly FileRecord[];
}

type ReadPage = (offset: number) => Promise<Outcome<Page>>;

function fileText(file: FileRecord): string {
  const size = sizeText(file.size).padStart(10);
  const time = timeText(file.modified).padEnd(TIME_COLUMNS);
  const type = cutToColumns(visible(file.mediaType), TYPE_COLUMNS).padEnd(TYPE_COLUMNS);
  return `${size}  ${time}  ${type}  ${visible(file.path)}\n`;
}

/** Prints page after page; answers with the total, or with the failure that ended it. */
async function printPages(
  session: Session,
  readPage: ReadPage,
  first: Page,
  pageText: (page: Page, offset: number) => string,
): Promise<Outcome<number>> {
  let page = first;
  let offset = 0;
  while (true) {
    await session.output.result(pageText(page, offset));
    offset += page.files.length;
    if (session.output.closed || page.files.length === 0 || offset >= page.total) {
      return { ok: true, value: page.total };
    }
    const next = await readPage(offset);
    if (!next.ok) return next;
    page = next.value;
  }
}

/** One JSON document although it is written before its end is known: `ok` and `failure` come last. */
async function printJson(session: Session, readPage: ReadPage, first: Page): Promise<Failure | null> {
  await session.output.result('{"value":{"files":[');
  const printed = await printPages(session, readPage, first, (page, offset) =>
    page.files.map((file, index) => `${offset + index > 0 ? "," : ""}${jsonText(file)}`).join(""),
  );
  const total = printed.ok ? printed.value : first.total;
  const end = printed.ok ? '"ok":true' : `"ok":false,"failure":${jsonText(printed.failure)}`;
  await session.output.result(`],"total":${total}},${end}}\n`);
  return printed.ok ? null : printed.failure;
}

async function printText(session: Session, readPage: ReadPage, first: Page): Promise<Failure | null> {
  const heading = `${"SIZE".padStart(10)}  ${"MODIFIED".padEnd(TIME_COLUMNS)}  ${"TYPE".padEnd(TYPE_COLUMNS)}  PATH\n`;
  if (first.total > 0) await session.output.result(heading);
  const printed = await printPages(session, readPage, first, (page) => page.files.map(fileText).join(""));
  if (!printed.ok) {
    await session.output.note(failureText(printed.failure));
    return printed.failure;
  }
  await session.output.note(`${amountText(printed.value, "file")}\n`);
  return null;
}

async function printFiles(
  session: Session,
  command: Command,
  vault: VaultApi,
  query: { readonly package: string; readonly search?: string },
): Promise<Outcome<Failure | null>> {
  const { signal } = session.surroundings;
  const readPage: ReadPage = (offset) => vault.packageFiles({ ...query, offset, limit: PAGE }, { signal });
  const first = await readPage(0);
  if (!first.ok) return first;
  const print = wantsJson(command) ? printJson : printText;
  return { ok: true, value: await print(session, readPage, first.value) };
}

export function define(command: Command, session: Session): void {
  command
    .argument("<package>", "package id, or its first characters")
    .option("--search <text>", "only paths that hold this text, in upper or lower case")
    .addHelpText(
      "after",
      examples("strongroom package files 0197f3a2", "strongroom package files 0197f3a2 --search invoice"),
    )
    .action(async (reference: string, { search }: { readonly search?: string }) => {
      const query = { package: reference, ...(search === undefined ? {} : { search }) };
      const outcome = await session.withVault(command, "packageFiles", query, (vault) =>
        printFiles(session, command, vault, query),
      );
      if (!outcome.ok) await session.fail(wantsJson(command), outcome.failure);
      else if (outcome.value !== null) session.exitCode = 2;
    });
}
