#!/usr/bin/env python3
"""Verifies a Strongroom package of format 1 in full. Written from docs/package-format.md alone, in plain Python 3.9 and newer.

Usage: verify_package.py ARCHIVE.tar [SEAL.json]
Prints one JSON document; ends with 0 (valid), 1 (not valid) or 2 (could not be verified).
"""
import base64, hashlib, json, os, re, sys
from datetime import datetime, timezone

HEX256, HEX512 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{128}")
DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.I)
NAME, ENGAGEMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}"), re.compile(r"[a-z0-9][a-z0-9-]{1,62}")
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?Z", re.A)
MAX_INT = 2**53 - 1


class Refused(Exception):
    """What is read does not have the form of format 1."""


def need(condition, what):
    if not condition:
        raise Refused(what)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# ---- JSON: one way to write each text ----

def unique(pairs):
    need(len({key for key, _ in pairs}) == len(pairs), "a member is repeated")
    return dict(pairs)


def parse(text):
    try:
        return json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise Refused(f"is not JSON: {error}") from error


def dump(value, canonical=False):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=canonical)


def utf8(data):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("is not UTF-8") from error


def canonical(data, what):
    text = utf8(data)
    value = parse(text)
    need(dump(value, canonical=True) == text, f"{what} is not canonical JSON")
    return value


# ---- what a member may hold ----

def text(value):
    return isinstance(value, str)


def like(pattern):
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def integer(low=0, high=MAX_INT):
    return lambda value: type(value) is int and low <= value <= high


def package_name(value):
    return like(NAME)(value) and not value.endswith(".") and not DEVICE.match(value)


def engagement(value):
    return like(ENGAGEMENT)(value) and not DEVICE.match(value)


def payload_path(value):
    return text(value) and value.startswith("data/") and "\0" not in value and not set(value.split("/")) & {"", ".", ".."}


def base64_text(value):
    try:
        return text(value) and base64.b64encode(base64.b64decode(value, validate=True)).decode() == value
    except ValueError:
        return False


def members(value, required, optional=(), ordered=True):
    """Exactly these members; their order is the one in which they are named."""
    need(isinstance(value, dict), "is not an object")
    rules = {**required, **dict(optional)}
    for key in value:
        need(key in rules, f"has an unknown member {key!r}")
        need(rules[key](value[key]), f"{key} has a value that is not allowed")
    for key in required:
        need(key in value, f"has no {key}")
    return [key for key in rules if key in value] == list(value) or not ordered


# ---- seal.json ----

def read_seal(data):
    need(len(data) <= 4 * 1024**2, "is too large")
    seal = parse(utf8(data))
    need(isinstance(seal, dict) and seal.get("format") == "strongroom-seal/1", "format is not known")
    digest = like(HEX256)
    members(seal, {
        "archive": lambda v: text(v) and v.endswith(".tar") and package_name(v[:-4]),
        "archiveLayout": lambda v: type(v) is int and v == 1,
        "archiveSize": integer(1024), "digestAlgorithm": lambda v: v == "sha256", "encryption": lambda v: v is None,
        "engagement": engagement, "format": text, "manifestSha256": digest, "packageId": like(ID),
        "partSize": lambda v: integer(512, 5 * 1024**3)(v) and v % 512 == 0,
        "parts": lambda v: isinstance(v, list) and 1 <= len(v) <= 10000 and all(digest(part) for part in v),
        "tagmanifestSha256": digest,
    }, {"archiveSha256": digest}, ordered=False)
    need(len(seal["parts"]) == -(-seal["archiveSize"] // seal["partSize"]), "has a wrong number of parts")
    canonical(data, "seal.json")
    return seal


# ---- archive layout 1 ----

def padded(size):
    return -(-size // 512) * 512


def block(name, size, time, kind):
    head = bytearray(512)
    for at, field in ((0, name), (100, b"0000644\0"), (108, b"0000000\0"), (116, b"0000000\0"), (124, b"%011o\0" % size),
                      (136, b"%011o\0" % time), (148, b" " * 8), (156, kind), (257, b"ustar\x0000"), (329, b"0000000\0"),
                      (337, b"0000000\0")):
        head[at:at + len(field)] = field
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def pax_record(key, value):
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def header(path, size, time):
    name, records = path.encode(), b""
    if len(name) > 100 or any(byte > 0x7F for byte in name):
        records += pax_record(b"path", name)
    if size >= 8**11:
        records += pax_record(b"size", str(size).encode())
    if not records:
        return block(name, size, time, b"0")
    short = bytes(byte if byte <= 0x7F else 0x5F for byte in name[:100])
    return (block(b"././@PaxHeader", len(records), time, b"x") + records.ljust(padded(len(records)), b"\0")
            + block(short, 0 if size >= 8**11 else size, time, b"0"))


def seconds(time):
    try:
        moment = datetime.strptime(time[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError:  # Python has no year 0000, and no other time matches TIME but is none.
        need(time.startswith("0000-"), f"{time} is no time")
        return 0
    whole = (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // (moment.resolution * 10**6)
    return min(max(whole, 0), 8**11 - 1)


class Archive:
    def __init__(self, path):
        self.file, self.size = open(path, "rb"), os.path.getsize(path)

    def bytes(self, offset, length):
        self.file.seek(offset)
        return self.file.read(max(length, 0))

    def digest(self, offset, length, algorithm="sha256"):
        state = hashlib.new(algorithm)
        while length > 0:
            piece = self.bytes(offset, min(length, 1 << 20))
            if not piece:
                return "the archive ends before"
            state.update(piece)
            offset, length = offset + len(piece), length - len(piece)
        return state.hexdigest()

    def entry(self, offset):
        """(path, content offset, size, end) of the entry whose header begins here, or None."""
        at, pax, head = offset, {}, self.bytes(offset, 512)
        if head[156:157] == b"x":
            if not re.fullmatch(rb"[0-7]{11}", head[124:135]) or int(head[124:135], 8) > 1 << 20:
                return None
            length = int(head[124:135], 8)
            records = self.bytes(at + 512, length)
            while match := re.match(rb"([1-9]\d{0,6}) ", records):
                record, records = records[match.end():int(match[1])], records[int(match[1]):]
                key, _, value = record[:-1].partition(b"=")
                pax[key] = value
            at += 512 + padded(length)
            head = self.bytes(at, 512)
        if head[156:157] != b"0" or not re.fullmatch(rb"[0-7]{11}", head[124:135]):
            return None
        size = int(pax[b"size"]) if re.fullmatch(rb"\d{1,16}", pax.get(b"size", b"")) else int(head[124:135], 8)
        end = at + 512 + padded(size)
        path = pax.get(b"path", head[:100].rstrip(b"\0")).decode("utf-8", "replace")
        return None if end > self.size else (path, at + 512, size, end)


# ---- manifest.json ----

def read_manifest(data):
    """The header and the file records; raises Refused for any other text than the one way to write them."""
    need(data.endswith(b"\n"), "does not end in a line feed")
    raw = data[:-1].split(b"\n")
    need(all(len(line) <= 1 << 20 for line in raw), "a line is too long")
    lines = iter([utf8(line) for line in raw])
    first = next(lines)
    need(first.startswith('{"format":"strongroom-manifest/1"') and first.endswith(","), "is not a manifest of format 1")
    head = parse(first[:-1] + "}")
    members(head, {"format": text, "packageId": like(ID), "name": package_name, "engagement": engagement, "created": like(TIME),
                   "sealed": like(TIME), "device": text, "program": text,
                   "sources": lambda v: isinstance(v, list) and all(members(s, {"name": text, "path": text}) is not None for s in v),
                   "metadata": lambda v: isinstance(v, dict) and "__proto__" not in v and all(map(text, v.values())),
                   "fileCount": integer(), "payloadSize": integer()},
            {"title": text, "producer": text, "subject": text, "phase": like(SLUG), "retentionClass": like(SLUG)}, ordered=False)
    need(dump(head) + "," == first[:-1] + "},", "the header is not written as format 1 writes it")
    index = re.compile(r"0|[1-9]\d{0,9}", re.A)
    numbers = [int(key) if index.fullmatch(key) and int(key) < 2**32 - 1 else MAX_INT for key in head["metadata"]]
    need(numbers == sorted(numbers), "metadata is not in its order")

    def entries(name, last):
        need(next(lines, None) == f'"{name}":[', f"{name} does not follow")
        expected = None
        for line in lines:
            if line == last:
                need(expected is not True, "a list ends after a comma")
                return
            need(expected is not False, "a comma is missing")
            expected = line.endswith(",")
            entry = parse(line[:-1] if expected else line)
            need(dump(entry) == (line[:-1] if expected else line), "an entry is not written as format 1 writes it")
            yield entry
        raise Refused(f"ends before {name} does")

    for folder in entries("emptyFolders", "],"):
        need(payload_path(folder), "an empty folder has no payload path")
    for omitted in entries("omitted", "],"):
        in_order = members(omitted, {"path": text, "reason": lambda v: v in ("symlink", "special-file", "litter")})
        need(in_order, "the members of an omission are out of order")
    source = {key: (like(TIME) if key == "born" else text) for key in ("born", "owner", "mode", "rawPath")}
    order = ("path", "size", "sha256", "sha512", "offset", "mediaType", "mediaTypeByName", "modified", "source")
    media = lambda v: text(v) and len(v) <= 255
    files = list(entries("files", "]}"))
    need(next(lines, None) is None, "something follows the end")
    for record in files:
        members(record, {"path": payload_path, "size": integer(), "sha256": like(HEX256), "offset": integer(), "mediaType": media,
                         "modified": like(TIME)},
                {"sha512": like(HEX512), "mediaTypeByName": media, "source": lambda v: members(v, {}, source)}, ordered=False)
        need([key for key in order if key in record] == list(record), "the members of a record are out of order")
        seconds(record["modified"])
    paths = [record["path"].encode() for record in files]
    need(all(a < b for a, b in zip(paths, paths[1:])), "paths are not in strictly ascending order")
    totals = (len(files), sum(record["size"] for record in files))
    need(totals == (head["fileCount"], head["payloadSize"]), "the totals of the header are not those of the list")
    return head, files


def manifest_line(digest, path):
    return f"{digest}  {re.sub('[%' + chr(13) + chr(10) + ']', lambda m: '%%%02X' % ord(m[0]), path)}\n"


def info_value(value):
    return re.sub("[\t ]*[\r\n\v\f\0\x85\u2028\u2029]+[\t ]*", " ", value).strip(
        "\t\n\v\f\r \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff")


# ---- Ed25519 (RFC 8032, section 5.1.7) ----

Q, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, Q - 2, Q) % Q


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % Q, (p[1] + p[0]) * (q[1] + q[0]) % Q
    c, d = 2 * p[3] * q[3] * D % Q, 2 * p[2] * q[2] % Q
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % Q, g * h % Q, f * g % Q, e * h % Q


def times(k, p):
    result = (0, 1, 1, 0)
    while k:
        result, p, k = (add(result, p) if k & 1 else result), add(p, p), k >> 1
    return result


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    need(y < Q, "is no point")
    square = (y * y - 1) * pow(D * y * y + 1, Q - 2, Q) % Q
    x = pow(square, (Q + 3) // 8, Q)
    if (x * x - square) % Q:
        x = x * pow(2, (Q - 1) // 4, Q) % Q
    need((x * x - square) % Q == 0 and not (x == 0 and sign), "is no point")
    x = x if x & 1 == sign else Q - x
    return x, y, 1, x * y % Q


def ed25519(key, message, signature):
    need(len(signature) == 64, "the signature has not 64 bytes")
    r, s = point(signature[:32]), int.from_bytes(signature[32:], "little")
    need(s < L, "the signature is out of range")
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    base = point((4 * pow(5, Q - 2, Q) % Q).to_bytes(32, "little"))
    a, b = times(s, base), add(r, times(h, point(key)))
    need((a[0] * b[2] - b[0] * a[2]) % Q == 0 and (a[1] * b[2] - b[1] * a[2]) % Q == 0, "the signature does not fit")


def check_signature(name, data, package_digest):
    named = re.fullmatch(r"([0-9a-f]{64})-([0-9a-f]{64})\.dsse\.json", name)
    need(named and len(data) <= 65536 and sha256(data) == named[2], "the file is not the one that its name says")
    envelope, kind = canonical(data, "the envelope"), "application/vnd.in-toto+json"
    one = lambda rules: lambda v: isinstance(v, list) and len(v) == 1 and members(v[0], rules) is not None
    members(envelope, {"payload": base64_text, "payloadType": lambda v: v == kind,
                       "signatures": one({"keyid": like(HEX256), "sig": base64_text})})
    payload = base64.b64decode(envelope["payload"])
    statement = canonical(payload, "the statement")
    members(statement, {
        "_type": lambda v: v == "https://in-toto.io/Statement/v1",
        "predicate": lambda v: members(v, {"engagement": engagement, "packageId": like(ID), "publicKey": base64_text,
                                           "time": text}) is not None,
        "predicateType": lambda v: v == "https://strongroom.dev/seal/v1",
        "subject": one({"digest": lambda v: v == {"sha256": package_digest}, "name": text})})
    der = base64.b64decode(statement["predicate"]["publicKey"])
    need(der[:12] == bytes.fromhex("302a300506032b6570032100") and len(der) == 44, "the key is not Ed25519")
    need(sha256(der) == named[1] == envelope["signatures"][0]["keyid"], "the key is not the one that the name says")
    signed = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    ed25519(der[12:], signed, base64.b64decode(envelope["signatures"][0]["sig"]))


# ---- "Verification", an archive with its seal ----

def verify(path, seal_path):
    findings = []
    found = lambda code, about="": findings.append({"code": code, "about": about})
    with open(seal_path, "rb") as file:
        seal_bytes = file.read(4 * 1024**2 + 1)
    seal, archive = read_seal(seal_bytes), Archive(path)
    package_digest, top = sha256(seal_bytes), seal["archive"][:-4]
    if os.path.basename(path) != seal["archive"]:
        found("ARCHIVE_NAME")
    if archive.size != seal["archiveSize"]:
        found("ARCHIVE_SIZE")
    for number, digest in enumerate(seal["parts"]):
        start = number * seal["partSize"]
        if archive.digest(start, min(seal["partSize"], seal["archiveSize"] - start)) != digest:
            found("PART_DIGEST", f"part {number + 1}")

    tags, end, order, first = {}, 0, [], None
    while entry := archive.entry(end):
        if not entry[0].startswith(f"{top}/data/"):
            first = end if first is None else first
            order.append(entry[0][len(top) + 1:] if entry[0].startswith(f"{top}/") else entry[0])
            tags.setdefault(order[-1], (end, *entry[1:]))
        elif first is not None:
            found("HEADER", f"{entry[0]} stands between the tag files")
        end = entry[3]
    with512 = ["manifest-sha512.txt"] if "manifest-sha512.txt" in order else []
    listed = ["bagit.txt", "bag-info.txt", "manifest.json", "manifest-sha256.txt", *with512]
    tag_manifests = ["tagmanifest-sha256.txt", *(["tagmanifest-sha512.txt"] if with512 else [])]
    if order != listed + tag_manifests:
        found("TAG_FILES", ", ".join(order))
    if end + 1024 != seal["archiveSize"] or archive.bytes(end, 1024) != bytes(1024):
        found("TRAILER")
    content = lambda name: archive.bytes(*tags[name][1:3]) if name in tags else b""

    manifest = content("manifest.json")
    if sha256(manifest) != seal["manifestSha256"]:
        found("MANIFEST_JSON_DIGEST")
    try:
        head, files = read_manifest(manifest)
    except Refused as refusal:
        found("MANIFEST_JSON", str(refusal))
    else:
        if (head["packageId"], head["name"], head["engagement"]) != (seal["packageId"], top, seal["engagement"]):
            found("MANIFEST_IDENTITY")
        check_contents(archive, found, head, files, (top, tags, first), content)
    for algorithm in ("sha256", "sha512"):
        name = f"tagmanifest-{algorithm}.txt"
        lines = [manifest_line(archive.digest(*tags[tag][1:3], algorithm), tag) for tag in listed if tag in tags]
        if name in tags and content(name) != "".join(lines).encode():
            found("TAG_MANIFEST", name)
    if sha256(content("tagmanifest-sha256.txt")) != seal["tagmanifestSha256"]:
        found("TAG_MANIFEST_DIGEST")
    if "archiveSha256" in seal and archive.digest(0, archive.size) != seal["archiveSha256"]:
        found("ARCHIVE_DIGEST")

    folder, signatures = re.sub(r"(\.seal)?\.json$", ".signatures", seal_path), 0
    if os.path.basename(seal_path) == "seal.json":
        folder = os.path.join(os.path.dirname(seal_path), "signatures")
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        if name.endswith(".dsse.json") and not name.startswith("."):
            try:
                with open(os.path.join(folder, name), "rb") as file:
                    check_signature(name, file.read(65537), package_digest)
                signatures += 1
            except Refused as refusal:
                found("SIGNATURE", str(refusal))
    return {"packageDigest": package_digest, "validSignatures": signatures, "findings": findings}


def check_contents(archive, found, head, files, walked, content):
    """Steps 7, 8, 9 and 11: all that follows from manifest.json."""
    top, tags, first = walked

    def check_entry(path, size, time, offset):
        computed = header(f"{top}/{path}", size, seconds(time))
        start = offset + len(computed)
        if archive.bytes(offset, len(computed)) != computed:
            found("HEADER", path)
        elif any(archive.bytes(start + size, padded(size) - size)):
            found("PADDING", path)
        return start

    end = 0
    for record in files:
        start = check_entry(record["path"], record["size"], record["modified"], end)
        if record["offset"] != start:
            found("OFFSET", record["path"])
        end = start + padded(record["size"])
        for algorithm in ("sha256", "sha512"):
            if algorithm in record and archive.digest(start, record["size"], algorithm) != record[algorithm]:
                found("FILE_DIGEST", record["path"])
    if first != end:
        found("HEADER", "the payload does not end where the first tag file begins")
    for name, (offset, _, size, _) in tags.items():
        check_entry(name, size, head["sealed"], offset)

    for algorithm in ("sha256", "sha512"):
        name, stated = f"manifest-{algorithm}.txt", [algorithm in record for record in files]
        if name not in tags:
            if any(stated):
                found("PAYLOAD_MANIFEST", name)
        elif content(name) != "".join(manifest_line(r.get(algorithm, ""), r["path"]) for r in files).encode():
            found("PAYLOAD_MANIFEST", name)

    if content("bagit.txt") != b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n":
        found("TAG_FILE_CONTENT", "bagit.txt")
    oxum = f"{head['payloadSize']}.{head['fileCount']}"
    before = "".join(f"{label}: {info_value(value)}\n" for label, value in (
        ("Bagging-Date", head["sealed"][:10]), ("Bag-Software-Agent", head["program"]), ("External-Identifier", head["packageId"]),
        ("Internal-Sender-Identifier", head["engagement"]), ("Payload-Oxum", oxum)))
    after = f"External-Description: {info_value(head['title'])}\n" if "title" in head else ""
    client = "(Source-Organization: [^\r\n\v\f\0\x85\u2028\u2029]*\n)?"
    pattern = re.escape(before) + client + re.escape(after)
    if not re.fullmatch(pattern, content("bag-info.txt").decode("utf-8", "replace")):
        found("TAG_FILE_CONTENT", "bag-info.txt")


def main():
    path = sys.argv[1]
    seal_path = sys.argv[2] if len(sys.argv) > 2 else re.sub(r"\.tar$", ".seal.json", path)
    try:
        report = verify(path, seal_path)
    except (Refused, OSError) as problem:
        print(json.dumps({"verdict": "could not be verified", "problem": str(problem)}))
        return 2
    errors = [finding for finding in report["findings"] if finding["code"] != "ARCHIVE_NAME"]
    print(json.dumps({"verdict": "not valid" if errors else "valid", **report}))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
