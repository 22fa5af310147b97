import { openVault } from "../open-vault.ts";
import { valueIn, Workroom } from "./workroom.ts";

/** A process of its own: seals argv[3] into the state folder argv[2] and prints the most memory it ever had, in MB. */
const [home, source, mode] = process.argv.slice(2) as [string, string, "copy" | "reference"];
const vault = valueIn(await openVault({ home }));
valueIn(await vault.engagementCreate({ id: Workroom.ENGAGEMENT }));
const built = valueIn(
  await vault.packageBuild({ engagement: Workroom.ENGAGEMENT, sources: [source], name: "site-a", mode }),
);
const { maxRSS } = process.resourceUsage();
process.stdout.write(
  `${JSON.stringify({ files: built.package?.files, megabytes: Math.round(maxRSS / 1024) })}\n`,
);
await vault.close();
