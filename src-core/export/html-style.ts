/** The whole style of an exported page: no font, image or script from anywhere; light and dark by the reader's system; plain on paper. */
export const HTML_STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d9dee5; --ground: #fff; --panel: #f5f7fa; --accent: #0b5f59; --mark: #8a3b12; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ee; --soft: #9aa5b4; --line: #323a46; --ground: #14181e; --panel: #1c222a; --accent: #63c7bd; --mark: #f0a171; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 3rem 1.5rem; max-width: 76rem; background: var(--ground); color: var(--ink); font: 15px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { margin: 0; font-size: 1.9rem; line-height: 1.2; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.15rem; }
p { max-width: 48rem; }
.kind { margin: 0 0 .5rem; color: var(--accent); font-size: .8rem; font-weight: 600; letter-spacing: .08em; text-transform: uppercase; }
.seal { margin: 1.75rem 0; padding: 1rem 1.25rem; border-left: 4px solid var(--accent); background: var(--panel); }
.seal p { margin: 0 0 .25rem; color: var(--soft); font-size: .85rem; }
code, .path, .seal strong { font-family: ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; font-size: .87em; font-weight: 400; }
.seal strong { font-size: 1.05rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: minmax(9rem, max-content) 1fr; gap: .3rem 1.5rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
li { margin: .4rem 0; }
pre { margin: .35rem 0; padding: .6rem .9rem; background: var(--panel); white-space: pre-wrap; overflow-wrap: anywhere; }
.files { content-visibility: auto; contain-intrinsic-size: auto 46rem; }
table { width: 100%; border-collapse: collapse; table-layout: fixed; }
caption { padding: 1.1rem 0 .35rem; color: var(--soft); text-align: left; font-size: .85rem; }
th, td { padding: .4rem .6rem .4rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { color: var(--soft); font-size: .8rem; font-weight: 600; }
.size { width: 8.5rem; padding-right: 1.2rem; text-align: right; font-variant-numeric: tabular-nums; }
.type { width: 11rem; }
.modified { width: 10rem; }
.digest { display: block; color: var(--soft); font-family: ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; font-size: .76rem; }
.path { direction: ltr; unicode-bidi: isolate; white-space: pre-wrap; }
.code-point { margin: 0 .1em; padding: 0 .25em; border: 1px solid var(--mark); border-radius: 3px; color: var(--mark); font-size: .75em; white-space: nowrap; }
.note { color: var(--mark); }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .85rem; }
@media (max-width: 44rem) { .type, .modified { display: none; } dl { grid-template-columns: 1fr; } dt { margin-top: .5rem; } }
@media print {
  :root { --ink: #000; --soft: #444; --line: #bbb; --ground: #fff; --panel: #fff; --accent: #000; --mark: #000; }
  @page { margin: 16mm 14mm; }
  body { max-width: none; padding: 0; font-size: 9.5pt; }
  .seal { border: 1px solid #000; border-left-width: 4px; }
  .files { content-visibility: visible; }
  thead { display: table-header-group; }
  tr, .seal, pre { break-inside: avoid; }
  h2 { break-after: avoid; }
}`;
