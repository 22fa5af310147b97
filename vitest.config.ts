import { defineConfig } from "vitest/config";

const conformance = ["src-core/**/conformance/**/*.test.ts", "src-core/**/conformance*.test.ts"];

/** Three stages of `npm test`: what one module does, what outsiders' bags say, what the program does as a user runs it. */
export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      { extends: true, test: { name: "unit", include: ["src-*/**/*.test.ts"], exclude: conformance } },
      { extends: true, test: { name: "conformance", include: conformance } },
      { extends: true, test: { name: "e2e", include: ["e2e/**/*.test.ts"] } },
    ],
  },
});
