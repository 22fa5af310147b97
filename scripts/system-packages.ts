import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { CEPH_PROGRAMS } from "../e2e/support/ceph-cluster.ts";
import { missingPrograms } from "../e2e/support/programs.ts";

/** Something that tests are held against and that npm does not install. */
interface Need {
  readonly what: string;
  readonly programs: readonly string[];
  /** Debian 12's packages that hold them. */
  readonly packages: readonly string[];
  /** What is not run where it is missing. */
  readonly without: string;
}

/** A need that is not met here, with the programs that were not found. */
export interface Missing extends Need {
  readonly notFound: readonly string[];
}

const STORE: Need = {
  what: "an S3 store",
  programs: CEPH_PROGRAMS,
  packages: ["ceph-mon", "ceph-mgr", "ceph-osd", "radosgw", "ceph-common"],
  without: "the stage s3 (or set STRONGROOM_TEST_S3, see CONTRIBUTING.md)",
};

const NEEDS: readonly Need[] = [
  {
    what: "a keychain",
    programs: ["gnome-keyring-daemon", "dbus-daemon", "dbus-send"],
    packages: ["gnome-keyring", "dbus-daemon", "dbus-bin"],
    without: "the tests with a real keychain",
  },
  {
    what: "a second tar",
    programs: ["bsdtar"],
    packages: ["libarchive-tools"],
    without: "reading archives with it",
  },
  { what: "a FAT32 disk", programs: ["mkfs.vfat"], packages: ["dosfstools"], without: "the test on one" },
  {
    what: "Python",
    programs: ["python3"],
    packages: ["python3"],
    without: "the second implementation of the package format",
  },
];

async function unmet(env: NodeJS.ProcessEnv): Promise<Missing[]> {
  const needs = env.STRONGROOM_TEST_S3 === undefined ? [STORE, ...NEEDS] : NEEDS;
  const missing: Missing[] = [];
  for (const need of needs) {
    const notFound = await missingPrograms(need.programs);
    if (notFound.length > 0) missing.push({ ...need, notFound });
  }
  return missing;
}

/** Debian and what is made from it have this file. */
function mayInstall(): boolean {
  return existsSync("/etc/debian_version") && process.getuid?.() === 0;
}

function apt(...args: readonly string[]): void {
  const options = ["-qq", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::http::Timeout=20"];
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const { status, error } = spawnSync("apt-get", [...options, ...args], {
    stdio: ["ignore", "ignore", "inherit"],
    env,
  });
  if (status !== 0) console.error(`apt-get ${args.join(" ")}: ${error?.message ?? `exit code ${status}`}`);
}

/**
 * Sees to what the tests need besides npm's packages: on Debian, as root, what is missing is installed. Answers with what is
 * missing then, and says of each what is not run without it.
 */
export async function seeToPackages(env: NodeJS.ProcessEnv): Promise<readonly Missing[]> {
  let missing = await unmet(env);
  if (missing.length > 0 && mayInstall()) {
    const packages = missing.flatMap((need) => need.packages);
    console.log(`Installing Debian's ${packages.join(" ")}`);
    apt("update");
    apt("install", "-y", "--no-install-recommends", ...packages);
    missing = await unmet(env);
  }
  for (const { what, notFound, without, packages } of missing) {
    console.log(`Missing ${what}: ${notFound.join(", ")} not found. Not run without: ${without}.`);
    console.log(`  On Debian, as root: apt-get install ${packages.join(" ")}`);
  }
  return missing;
}
