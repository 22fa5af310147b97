// Refuses a Node.js that the project does not work on, in one line. Plain old JavaScript: it must run where nothing else does.
var parts = process.versions.node.split(".");
var major = Number(parts[0]);
var minor = Number(parts[1]);

if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    "strongroom: needs Node.js 22.18 or newer (found: v" +
      process.versions.node +
      "); run 'npm ci' first, which installs the pinned one on Linux, or install it from https://nodejs.org\n",
  );
  process.exit(2);
}
