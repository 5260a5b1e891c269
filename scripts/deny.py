#!/usr/bin/env python3
"""Checks what is built against deny.toml: licences, sources, bans; of the workspace, and of the fuzz targets.

    scripts/deny.py [deny.toml]

Asks `cargo metadata` alone, so it needs no network once the packages are there. It knows of cargo-deny's file what stands in ours and
refuses what it does not know (docs/adr/0018-who-checks-licences.md). Its own rules are checked by `python3 -m doctest scripts/deny.py`. Not here: advisories, which need a network (cargo deny check advisories).
Exit code: 0 all is allowed, 1 something is not, 2 the file or the graph cannot be read.
"""

import json
import re
import subprocess
import sys
import tomllib

KNOWN = {
    "graph": {"all-features"},
    "licenses": {"allow", "exceptions", "unused-allowed-license"},
    "sources": {"unknown-registry", "unknown-git", "allow-registry", "allow-git"},
    "bans": {"multiple-versions", "wildcards", "allow-wildcard-paths", "deny"},
}


MANIFESTS = ("Cargo.toml", "fuzz/Cargo.toml")


def fail(text):
    print(f"deny: {text}", file=sys.stderr)
    sys.exit(2)


def rules(path):
    with open(path, "rb") as file:
        said = tomllib.load(file)
    for table, keys in said.items():
        unknown = set(keys) - KNOWN.get(table, set())
        if table not in KNOWN or unknown:
            fail(f"{path}: this check does not know [{table}] {', '.join(sorted(unknown))}")
    return said


def graph(manifest):
    """Every package that some feature on some platform may build, and who wants it."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features", "--manifest-path", manifest]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        fail(done.stderr)
    whole = json.loads(done.stdout)
    built = {node["id"] for node in whole["resolve"]["nodes"]}
    wanted = {}
    for node in whole["resolve"]["nodes"]:
        for other in node["dependencies"]:
            wanted.setdefault(other, []).append(node["id"])
    return [one for one in whole["packages"] if one["id"] in built], wanted


class Expression:
    """A licence expression of SPDX: identifiers, WITH, AND, OR and brackets; `/` is an old OR.

    >>> [Expression(text).holds({"MIT", "X WITH e"}) for text in ("MIT", "GPL-3.0", "MIT AND GPL-3.0", "GPL-3.0 OR MIT", "A/MIT")]
    [True, False, False, True, True]
    >>> Expression("(GPL-3.0 OR X WITH e) AND MIT").holds({"MIT", "X WITH e"}), Expression("X").holds({"X WITH e"})
    (True, False)
    >>> Expression("MIT GPL-3.0").holds({"MIT"})
    Traceback (most recent call last):
    ValueError: GPL-3.0
    """

    def __init__(self, text):
        self.tokens = re.findall(r"[()]|[^\s()]+", text.replace("/", " OR "))

    def holds(self, allowed):
        value = self.either(allowed)
        if self.tokens:
            raise ValueError(self.tokens[0])
        return value

    def take(self, *wanted):
        return self.tokens.pop(0) if self.tokens and self.tokens[0] in wanted else None

    def either(self, allowed):
        value = self.both(allowed)
        while self.take("OR"):
            value = self.both(allowed) or value
        return value

    def both(self, allowed):
        value = self.one(allowed)
        while self.take("AND"):
            value = self.one(allowed) and value
        return value

    def one(self, allowed):
        if self.take("("):
            value = self.either(allowed)
            if not self.take(")"):
                raise ValueError("a bracket is open")
            return value
        if not self.tokens or self.tokens[0] in ("AND", "OR", "WITH", ")"):
            raise ValueError("an identifier is missing")
        name = self.tokens.pop(0)
        if self.take("WITH"):
            name = f"{name} WITH {self.tokens.pop(0)}"
        return name in allowed


def licence(package, said):
    """What is wrong with its licence.

    >>> said = {"allow": ["MIT"], "exceptions": [{"crate": "lame", "allow": ["LGPL-3.0"]}]}
    >>> licence({"name": "lame", "license": "LGPL-3.0"}, said), licence({"name": "other", "license": "LGPL-3.0"}, said)
    (None, 'is under LGPL-3.0')
    >>> licence({"name": "a", "license": None}, said), licence({"name": "a", "license": "MIT AND"}, said)
    ('names no licence', 'has a licence that cannot be read: MIT AND (an identifier is missing)')
    """
    allowed = set(said["allow"])
    for exception in said.get("exceptions", []):
        if exception["crate"] == package["name"]:
            allowed |= set(exception["allow"])
    text = package["license"]
    if not text:
        return "names no licence"
    try:
        return None if Expression(text).holds(allowed) else f"is under {text}"
    except (ValueError, IndexError) as error:
        return f"has a licence that cannot be read: {text} ({error})"


def source(package, said):
    """What is wrong with where it comes from.

    >>> said = {"allow-registry": ["https://a.example/index"], "allow-git": []}
    >>> source({"source": "registry+https://a.example/index"}, said), source({"source": None}, said)
    (None, None)
    >>> source({"source": "git+https://b.example/x?rev=1#1"}, said)
    'comes from git+https://b.example/x?rev=1#1'
    """
    where = package["source"]
    if where is None:
        return None
    kind, _, address = where.partition("+")
    allowed = {"registry": said["allow-registry"], "git": said["allow-git"]}.get(kind, [])
    return None if address.split("?")[0].split("#")[0] in allowed else f"comes from {where}"


def ban(package, said):
    """Why it may not be there.

    >>> said = {"deny": [{"crate": "openssl"}]}
    >>> ban({"name": "openssl", "dependencies": [], "source": "registry"}, said)
    'is not wanted'
    >>> ban({"name": "ours", "dependencies": [{"name": "x", "req": "*"}], "source": None}, said)
    'takes any version of x'
    """
    if package["name"] in {one["crate"] for one in said["deny"]}:
        return "is not wanted"
    wild = [one["name"] for one in package["dependencies"] if one["req"] == "*" and not one.get("path")]
    return f"takes any version of {', '.join(wild)}" if wild and package["source"] is None else None


def main():
    said = rules(sys.argv[1] if len(sys.argv) > 1 else "deny.toml")
    packages, wanted = {}, {}
    for manifest in MANIFESTS:
        found, users = graph(manifest)
        packages |= {one["id"]: one for one in found}
        wanted |= {one: wanted.get(one, []) + by for one, by in users.items()}
    packages = packages.values()
    names = {one["id"]: f"{one['name']} {one['version']}" for one in packages}
    wrong = 0
    for package in packages:
        found = [licence(package, said["licenses"]), source(package, said["sources"]), ban(package, said["bans"])]
        for why in filter(None, found):
            wrong += 1
            users = ", ".join(names.get(one, one) for one in wanted.get(package["id"], [])) or "nobody"
            print(f"deny: {names[package['id']]} {why}; wanted by {users}", file=sys.stderr)
    print(f"deny: licences, sources and bans of {len(packages)} packages looked at, {wrong} not allowed; advisories were not looked at")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
