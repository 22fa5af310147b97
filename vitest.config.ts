import { defineConfig } from "vitest/config";

const conformance = ["src-core/**/conformance/**/*.test.ts", "src-core/**/conformance*.test.ts"];
/** What needs an S3 store: kept apart, so that one is started only for these. */
const s3 = ["{e2e,src-*}/**/*.s3.test.ts"];
/** What needs the system's keychain: each file starts a GNOME Keyring of its own. */
const keychain = ["{e2e,src-*}/**/*.keychain.test.ts"];

/** Five stages of `npm test`: what one module does, what outsiders' bags say, what the program does as a user runs it,
 * what it does with a real keychain, and with a real S3 store. */
export default defineConfig({
  test: {
    pool: "forks",
    // Threads that run from source come and go with the WebAssembly by which Node strips types, and on processors with protection keys V8 then now and
    // then aborts the process: "Check failed: jit_page.has_value()" (nodejs/node#64500). The built program has no such threads.
    execArgv: ["--no-memory-protection-keys"],
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["src-*/**/*.test.ts"],
          exclude: [...conformance, ...keychain, ...s3],
        },
      },
      { extends: true, test: { name: "conformance", include: conformance } },
      { extends: true, test: { name: "e2e", include: ["e2e/**/*.test.ts"], exclude: [...keychain, ...s3] } },
      { extends: true, test: { name: "keychain", include: keychain } },
      { extends: true, test: { name: "s3", include: s3, globalSetup: "e2e/support/test-store-setup.ts" } },
    ],
  },
});
