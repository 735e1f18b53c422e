#!/usr/bin/env python3
"""Verifies and lists bundles of Berth. Written from docs/src/bundle-format.md alone, with nothing but the standard library:
it shows that the page is enough, and anybody may take it along with a bundle.

    bundle_reader.py verify FILE... [--trust KEY_ID]...    a line of JSON for each file; exit status 1 if one is not whole
    bundle_reader.py list FILE                             the entries that the manifest lists
    bundle_reader.py objects FILE                          the objects of buckets: service, bucket, key, and what each has

It keeps the manifest in memory and looks for damage only where things should be. What is missing or was moved it sees, but
does not name.
"""

import argparse
import base64
import hashlib
import json
import re
import sys

BLOCK = 512
MANIFEST, SIGNATURE = "manifest.jsonl", "manifest.jws"
HEADERS = ("cache_control", "content_disposition", "content_encoding", "content_language")


class Refused(Exception):
    """Something is wrong with a bundle: where, and what."""

    def __init__(self, path, fault):
        super().__init__(f"{path}: {fault}")
        self.path, self.fault = path, fault


# --- Ed25519 (RFC 8032, section 5.1) ---------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def add(one, other):
    """The sum of two points in extended coordinates (RFC 8032, section 5.1.4)."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(number, point):
    result = (0, 1, 1, 0)
    while number:
        if number & 1:
            result = add(result, point)
        point, number = add(point, point), number >> 1
    return result


def compress(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decompress(encoded):
    """A point (section 5.1.3); none if it is not written in the one right way, or of small order."""
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * ROOT % P
    if (x * x - x2) % P or y >= P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    point = (x, y, 1, x * y % P)
    return None if compress(times(8, point)) == compress((0, 1, 1, 0)) else point


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def fits(key, message, signature):
    """Whether a signature fits: [S]B - [k]A is R, byte for byte."""
    point, r, s = decompress(key), signature[:32], int.from_bytes(signature[32:], "little")
    if point is None or decompress(r) is None or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L
    negative = (P - point[0], point[1], 1, P - point[3])
    return compress(add(times(s, BASE), times(k, negative))) == r


# --- JWS (RFC 7515) ----------------------------------------------------------------------------------------------------


def base64url(text):
    if not re.fullmatch("[A-Za-z0-9_-]*", text):
        raise ValueError("no Base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise ValueError("not the one right way to write it")
    return data


def once(pairs):
    """An object in which no member is there twice."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a member is there twice")
    return dict(pairs)


def parse(data):
    return json.loads(data.decode("utf-8"), object_pairs_hook=once)


def thumbprint(jwk):
    members = json.dumps({"crv": jwk["crv"], "kty": jwk["kty"], "x": jwk["x"]}, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(members.encode()).digest()).rstrip(b"=").decode()


def signed(jws):
    """What was signed, and the name of the key."""
    header, payload, signature = jws.split(".")
    fields, message = parse(base64url(header)), f"{header}.{payload}".encode()
    key, signature = base64url(fields["jwk"]["x"]), base64url(signature)
    right = (
        fields["alg"] == "EdDSA"
        and fields["typ"] == "berth-bundle+jws"
        and "crit" not in fields
        and (fields["jwk"]["kty"], fields["jwk"]["crv"]) == ("OKP", "Ed25519")
        and fields["kid"] == thumbprint(fields["jwk"])
        and (len(key), len(signature)) == (32, 64)
        and fits(key, message, signature)
    )
    if not right:
        raise ValueError("the signature does not hold")
    return parse(base64url(payload)), fields["kid"]


# --- The archive -------------------------------------------------------------------------------------------------------


def decode(text):
    """The bytes of a path (percent-encoded)."""
    data, at = bytearray(), 0
    while at < len(text):
        if text[at] == "%":
            digits = text[at + 1 : at + 3]
            if not re.fullmatch("[0-9A-F]{2}", digits):
                raise ValueError("a byte is written as %XX")
            data.append(int(digits, 16))
            at += 3
        else:
            data += text[at].encode("ascii")
            at += 1
    plain = bytes(byte for byte in range(32, 127) if byte not in b'%"\\')
    if "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in data) != text:
        raise ValueError("not the one right way to write it")
    return bytes(data)


def padding(size):
    return -size % BLOCK


def record(key, value):
    rest = len(key) + len(value) + 3
    length = rest
    while length != rest + len(str(length)):
        length = rest + len(str(length))
    return f"{length} {key}=".encode() + value + b"\n"


def is_text(data):
    try:
        data.decode("utf-8")
        return True
    except UnicodeDecodeError:
        return False


def block(name, kind, target, mode, uid, gid, owner, group, size, mtime):
    header = name[:100].ljust(100, b"\0")
    header += b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, uid, gid, size, mtime)
    header += b" " * 8 + kind + target[:100].ljust(100, b"\0") + b"ustar\x0000"
    header += owner.ljust(32, b"\0") + group.ljust(32, b"\0") + b"0000000\0" * 2
    header = header.ljust(BLOCK, b"\0")
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def user(name):
    name = name or ""
    return name.encode() if len(name) <= 31 and re.fullmatch("[!-~]*", name) else b""


def member(name, kind, target, mode, uid, gid, owner, group, size, mtime):
    """The bytes before a content."""
    records = b""
    if (len(name) > 100 and not is_text(name)) or (len(target) > 100 and not is_text(target)):
        records += record("hdrcharset", b"BINARY")
    if len(name) > 100:
        records += record("path", name)
    if len(target) > 100:
        records += record("linkpath", target)
    fields = {"size": (size, 0o77777777777), "uid": (uid, 0o7777777), "gid": (gid, 0o7777777), "mtime": (mtime, 0o77777777777)}
    fitting = {}
    for key, (value, greatest) in fields.items():
        fitting[key] = value if 0 <= value <= greatest else 0
        if fitting[key] != value:
            records += record(key, str(value).encode())
    main = block(name, kind, target, mode, owner=user(owner), group=user(group), **fitting)
    if not records:
        return main
    extension = block(b"././@PaxHeader", b"x", b"", 0o644, 0, 0, b"", b"", len(records), 0)
    return extension + records + bytes(padding(len(records))) + main


def entry_header(entry):
    name, target, size = decode(entry["path"]), b"", 0
    if entry["kind"] == "file":
        kind, size = b"0", entry["size"]
    elif entry["kind"] == "directory":
        kind, name = b"5", name + b"/"
    elif entry["kind"] == "symlink":
        kind, target = b"2", decode(entry["target"])
        if not target or b"\0" in target or len(target) > 4095:
            raise ValueError("no symbolic link can say that")
    else:
        raise ValueError("another kind")
    if not re.fullmatch("[0-7]{4}", entry["mode"]):
        raise ValueError("a mode is four octal digits")
    mode, owner, group = int(entry["mode"], 8), entry.get("owner"), entry.get("group")
    return member(name, kind, target, mode, entry["uid"], entry["gid"], owner, group, size, entry["mtime"])


def check_object(entry):
    """What an object or a bucket has is written as it should be."""
    media_type, about, bucket = entry.get("media_type"), entry.get("object"), entry.get("bucket")
    about = {} if about is None else about
    assert isinstance(about, dict) and (bucket is None or isinstance(bucket, dict))
    texts = [media_type] + [about.get(name) for name in HEADERS]
    metadata = about.get("metadata", {})
    assert all(text is None or isinstance(text, str) for text in texts)
    assert isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    assert bucket is None or all(isinstance(bucket[name], str) for name in ("endpoint", "region"))


def objects(entries):
    """The objects of buckets, each with its key: that of a folder ends with a slash."""
    for entry in entries:
        components = decode(entry["path"]).split(b"/")
        if len(components) < 5 or (components[0], components[2]) != (b"services", b"buckets"):
            continue
        key = b"/".join(components[4:]) + (b"/" if entry["kind"] == "directory" else b"")
        names = {"service": components[1], "bucket": components[3], "key": key}
        told = {name: value.decode("utf-8") for name, value in names.items()}
        told.update(size=entry.get("size", 0), media_type=entry.get("media_type"), **entry.get("object") or {})
        yield told


def own_header(name, size, created):
    return member(name.encode(), b"0", b"", 0o644, 0, 0, "root", "root", size, created)


def seconds(instant):
    from datetime import datetime, timezone

    return int(datetime.strptime(instant, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp())


# --- The bundle --------------------------------------------------------------------------------------------------------


class Bundle:
    def __init__(self, path):
        self.file = open(path, "rb")
        self.length = self.file.seek(0, 2)
        self.problems, self.key_id = [], None

    def read(self, at, size):
        if at < 0:
            return b""
        self.file.seek(at)
        return self.file.read(size)

    def problem(self, path, fault):
        self.problems.append({"path": path, "fault": fault})

    def expect(self, at, expected, path, fault):
        if self.read(at, len(expected)) != expected:
            self.problem(path, fault)

    def digest(self, at, size):
        total, left = hashlib.sha256(), size
        self.file.seek(at)
        while left:
            data = self.file.read(min(left, 1 << 20))
            if not data:
                break
            total.update(data)
            left -= len(data)
        return total.hexdigest()

    def signature(self):
        """Where the signature's header is, and its text: it is the last member, before two blocks of zeros."""
        for at in range(self.length - 1024 - 2 * BLOCK, max(-1, self.length - 65536), -BLOCK):
            header = self.read(at, BLOCK)
            if header.startswith(SIGNATURE.encode() + b"\0") and header[257:263] == b"ustar\0":
                size = int(header[124:135], 8)
                return at, self.read(at + BLOCK, size).decode("ascii")
        raise Refused(SIGNATURE, "missing")

    def manifest(self):
        """The manifest's lines; checks everything from it to the file's end."""
        try:
            signature_at, jws = self.signature()
            statement, key_id = signed(jws)
            assert (statement["format"], statement["version"]) == ("berth-bundle", 1)
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            raise Refused(SIGNATURE, "signature") from error
        created, size = seconds(statement["created"]), statement["manifest"]["size"]
        header = own_header(SIGNATURE, len(jws), created)
        self.expect(signature_at, header, SIGNATURE, "altered header")
        after = signature_at + len(header) + len(jws)
        self.expect(after, bytes(padding(len(jws))), SIGNATURE, "altered padding")
        after += padding(len(jws))
        if self.read(after, self.length) != bytes(1024):
            self.problem(None, "altered end")
        header = own_header(MANIFEST, size, created)
        content_at = signature_at - size - padding(size)
        self.manifest_at = content_at - len(header)
        self.expect(self.manifest_at, header, MANIFEST, "altered header")
        self.expect(content_at + size, bytes(padding(size)), MANIFEST, "altered padding")
        content = self.read(content_at, size)
        if hashlib.sha256(content).hexdigest() != statement["manifest"]["sha256"]:
            raise Refused(MANIFEST, "altered content")
        try:
            return self.lines(content, statement, key_id)
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            raise Refused(MANIFEST, "format") from error

    def lines(self, content, statement, key_id):
        assert content.endswith(b"\n")
        head, *entries, totals = (parse(line) for line in content[:-1].split(b"\n"))
        assert (head["format"], head["version"]) == ("berth-bundle-manifest", 1)
        assert (head["tenant"], head["created"]) == (statement["tenant"], statement["created"])
        assert head["signer"]["key_id"] == key_id == thumbprint(head["signer"]["public_key"])
        counted = {"entries": len(entries), "files": 0, "directories": 0, "symlinks": 0, "bytes": 0}
        last = None
        for entry in entries:
            components = decode(entry["path"]).split(b"/")
            assert len(b"/".join(components)) <= 8192 and len(components) <= 256
            assert all(0 < len(one) <= 255 and one not in (b".", b"..") and b"\0" not in one for one in components)
            if last is None:
                assert (entry["path"], entry["kind"]) == ("bundle.json", "file")
            else:
                assert entry["path"] not in (MANIFEST, SIGNATURE) and components > last[0]
                assert last[1] == "directory" or components[: len(last[0])] != last[0]
            assert components[0] != b"secrets" or entry["kind"] != "symlink"
            check_object(entry)
            last = components, entry["kind"]
            counted[{"file": "files", "directory": "directories", "symlink": "symlinks"}[entry["kind"]]] += 1
            counted["bytes"] += entry["size"] if entry["kind"] == "file" else 0
        assert entries and totals == counted
        self.key_id, self.head = key_id, head
        return entries

    def verify(self):
        try:
            entries = self.manifest()
            at = 0
            for entry in entries:
                at = self.entry(at, entry)
            if at != self.manifest_at:
                self.problem(None, "added")
        except Refused as refused:
            self.problem(refused.path, refused.fault)

    def entry(self, at, entry):
        path, header = entry["path"], entry_header(entry)
        self.expect(at, header, path, "altered header")
        at += len(header)
        if entry["kind"] != "file":
            return at
        size = entry["size"]
        if self.digest(at, size) != entry["sha256"]:
            self.problem(path, "altered content")
        elif path == "bundle.json":
            self.about(self.read(at, size))
        elif path.startswith("secrets/") and self.read(at, size)[:22] != b"age-encryption.org/v1\n":
            self.problem(path, "unsealed")
        self.expect(at + size, bytes(padding(size)), path, "altered padding")
        return at + size + padding(size)

    def about(self, content):
        about = parse(content)
        head = self.head
        expected = ("berth-bundle", 1, head["tenant"], head["signer"]["provider"], head["created"])
        if tuple(about.get(name) for name in ("format", "version", "tenant", "provider", "created")) != expected:
            self.problem("bundle.json", "format")


def main():
    parser = argparse.ArgumentParser(description="Verifies and lists bundles of Berth.")
    commands = parser.add_subparsers(dest="command", required=True)
    verify = commands.add_parser("verify")
    verify.add_argument("files", nargs="+")
    verify.add_argument("--trust", action="append", default=[], metavar="KEY_ID")
    commands.add_parser("list").add_argument("file")
    commands.add_parser("objects").add_argument("file")
    arguments = parser.parse_args()
    if arguments.command in ("list", "objects"):
        entries = Bundle(arguments.file).manifest()
        for entry in objects(entries) if arguments.command == "objects" else entries:
            print(json.dumps(entry))
        return 0
    whole = True
    for path in arguments.files:
        bundle = Bundle(path)
        bundle.verify()
        intact = not bundle.problems
        whole = whole and intact and (not arguments.trust or bundle.key_id in arguments.trust)
        trusted = intact and bundle.key_id in arguments.trust
        print(json.dumps({"intact": intact, "trusted": trusted, "key_id": bundle.key_id, "problems": bundle.problems}))
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
