import { defineConfig, type Plugin } from "vite";

/** Files that threads and processes load by URL; each becomes an entry of its own beside main.js. */
const THREADS = [
  "src-core/credentials/keychain-process.ts",
  "src-core/digest/hash-worker.ts",
  "src-core/package/extract-thread.ts",
  "src-core/package/repack-thread.ts",
  "src-core/package/seal-thread.ts",
  "src-core/package/seal-worker.ts",
  "src-core/vault/digest-worker.ts",
  "src-core/verify/layout-task.ts",
];

/** The bundle is flat: a thread's script and package.json lie elsewhere than beside the sources. */
const flatUrls: Plugin = {
  name: "flat-urls",
  transform: (code) =>
    code
      .replace(
        /new URL\(\s*"[./]+\/(?:[\w-]+\/)*([\w-]+)\.ts",\s*import\.meta\.url,?\s*\)/g,
        'new URL("./$1.js", import.meta.url)',
      )
      .replace(
        /new URL\("(?:\.\.\/)+package\.json", import\.meta\.url\)/g,
        'new URL("../package.json", import.meta.url)',
      ),
};

/** Bundles the command line and its threads into dist/, for its start-up: a tenth of the files to open. */
export default defineConfig({
  plugins: [flatUrls],
  ssr: { noExternal: true, external: ["@napi-rs/keyring", "better-sqlite3"] },
  build: {
    ssr: true,
    target: "node22",
    outDir: "dist",
    emptyOutDir: true,
    minify: false,
    rollupOptions: {
      input: ["src-cli/main.ts", ...THREADS],
      output: { entryFileNames: "[name].js", chunkFileNames: "chunk-[name]-[hash].js" },
    },
  },
});
