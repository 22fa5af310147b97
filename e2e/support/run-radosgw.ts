// Starts a throw-away S3 store and keeps it until it is ended (Ctrl-C, SIGTERM or SIGHUP):
//   npx node e2e/support/run-radosgw.ts FACTS.json [GIB]
// FACTS.json, readable by this user only, then says where it is and holds the keys, in the form that
// STRONGROOM_TEST_S3 takes; it is removed at the end. GIB is what the store holds at most, 8 unless said.
import { rm, writeFile } from "node:fs/promises";
import { startRadosgw } from "./radosgw.ts";

const [factsFile, gib = "8"] = process.argv.slice(2);
if (factsFile === undefined || !/^[1-9][0-9]*$/.test(gib)) {
  console.error("usage: npx node e2e/support/run-radosgw.ts FACTS.json [GIB]");
  process.exit(2);
}
const asked = new Promise<void>((resolve) => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
});
const store = await startRadosgw({ memoryBytes: Number(gib) * 2 ** 30 });
await rm(factsFile, { force: true });
await writeFile(factsFile, `${JSON.stringify(store.facts, null, 2)}\n`, { mode: 0o600, flag: "wx" });
console.log(`${store.facts.endpoint} is ready; its keys are in ${factsFile}`);
const stay = setInterval(() => undefined, 2 ** 30);
await asked;
clearInterval(stay);
await store.stop();
await rm(factsFile, { force: true });
