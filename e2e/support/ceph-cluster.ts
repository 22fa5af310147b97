import { execFile } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { Daemon, START_DEADLINE_MS } from "./daemon.ts";

const runFile = promisify(execFile);

/** The programs of Debian's packages that a store is made of. */
export const CEPH_PROGRAMS = [
  "ceph-mon",
  "ceph-mgr",
  "ceph-osd",
  "radosgw",
  "radosgw-admin",
  "ceph",
] as const;

/** A port of loopback that nobody listens on, below those that Linux gives to outgoing connections (32768 up). */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const free = await new Promise<boolean>((resolve) => {
      const probe = createServer();
      probe.once("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
  throw new Error("no free port found on 127.0.0.1 between 10000 and 29999");
}

/** A program of the package that runs to its end; `args` are public and hold no secret. */
export async function runCeph(folder: string, program: string, args: readonly string[]): Promise<string> {
  const { stdout } = await runFile(program, ["-c", join(folder, "ceph.conf"), ...args], {
    timeout: START_DEADLINE_MS,
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout;
}

/**
 * The cluster's configuration: everything on loopback and in one folder, the content in memory only. Without the two
 * paxos settings the start takes 12 s in place of 1.2, most of it spent waiting until the monitor proposes each pool. An OSD that
 * gets no processor time for minutes waits, in place of ending itself, and its leases, which guard against other OSDs, do not run out
 * meanwhile: some of its placement groups would never answer again ("laggy").
 */
function configuration(folder: string, fsid: string, monPort: number, memoryBytes: number): string {
  return `[global]
fsid = ${fsid}
mon host = [v2:127.0.0.1:${monPort}]
mon initial members = a
keyring = ${folder}/keyring
run dir = ${folder}/run
admin socket = ${folder}/run/$cluster-$name.$pid.asok
pid file =
crash dir = ${folder}/log
log file = ${folder}/log/$name.log
mon cluster log file = ${folder}/log/cluster.log
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
ms bind msgr1 = false
debug ms = 0/0
debug osd = 0/0
auth allow insecure global id reclaim = false
mon data = ${folder}/mon
mon data avail warn = 1
mon data avail crit = 0
mon allow pool size one = true
mgr data = ${folder}/mgr
osd data = ${folder}/osd
osd objectstore = memstore
memstore device bytes = ${memoryBytes}
osd op thread suicide timeout = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd pool default read lease ratio = 1000
paxos propose interval = 0.05
paxos min wait = 0.01
osd crush chooseleaf type = 0
rgw data = ${folder}/rgw
rgw crypt require ssl = false
rgw sts key = ${randomBytes(8).toString("hex")}
rgw gc obj min wait = 60
rgw gc processor period = 30
rgw gc processor max time = 30
`;
}

const KEYS = [
  { name: "mon.", caps: ["mon", "allow *"] },
  { name: "client.admin", caps: ["mon", "allow *", "osd", "allow *", "mgr", "allow *"] },
  { name: "client.rgw", caps: ["mon", "allow rwx", "osd", "allow rwx"] },
  { name: "mgr.a", caps: ["mon", "allow profile mgr", "osd", "allow *"] },
  { name: "osd.0", caps: ["mon", "allow profile osd", "mgr", "allow profile osd", "osd", "allow *"] },
];

/** Writes a new key for each, readable by this user only. */
async function writeKeyring(path: string): Promise<void> {
  const sections: string[] = [];
  for (const { name, caps } of KEYS) {
    const key = (await runFile("ceph-authtool", ["--gen-print-key"])).stdout.trim();
    const lines = [`[${name}]`, `key = ${key}`];
    for (let at = 0; at < caps.length; at += 2) lines.push(`caps ${caps[at]} = "${caps[at + 1]}"`);
    sections.push(lines.join("\n"));
  }
  await writeFile(path, `${sections.join("\n")}\n`, { mode: 0o600 });
}

/**
 * Starts one monitor, one manager and one OSD that keeps `memoryBytes` in memory (taken as it is filled), all in
 * `folder`, which is empty and private. Answers with the daemons in the order of their start.
 */
export async function startCluster(folder: string, memoryBytes: number): Promise<readonly Daemon[]> {
  const fsid = randomUUID();
  const port = await freePort();
  const conf = join(folder, "ceph.conf");
  const keyring = join(folder, "keyring");
  await runFile("mkdir", ["mon", "mgr", "osd", "run", "log"], { cwd: folder });
  await writeFile(conf, configuration(folder, fsid, port, memoryBytes), { mode: 0o600 });
  await writeKeyring(keyring);
  const map = join(folder, "monmap");
  await runFile("monmaptool", ["--create", "--fsid", fsid, "--addv", "a", `[v2:127.0.0.1:${port}]`, map]);
  await runCeph(folder, "ceph-mon", ["-i", "a", "--mkfs", "--monmap", map, "--keyring", keyring]);
  const daemons: Daemon[] = [];
  const start = async (program: string, id: string) => {
    daemons.push(await Daemon.start(folder, program, program, ["-c", conf, "-i", id, "-f"]));
  };
  try {
    await start("ceph-mon", "a");
    await start("ceph-mgr", "a");
    const osdId = randomUUID();
    await runCeph(folder, "ceph", ["osd", "new", osdId]);
    await runCeph(folder, "ceph-osd", ["-i", "0", "--mkfs", "--osd-uuid", osdId]);
    await start("ceph-osd", "0");
    return daemons;
  } catch (error) {
    for (const daemon of daemons) await daemon.kill();
    throw error;
  }
}
