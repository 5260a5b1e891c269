#!/usr/bin/env python3
"""Checks what is built against deny.toml: licences, sources, bans.

    scripts/deny.py [deny.toml]

Asks `cargo metadata` alone, so it needs no network once the packages are there. It knows of cargo-deny's file what stands in ours and
refuses what it does not know. Not here: advisories, which need a network (cargo deny check advisories).
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


def graph():
    """Every package that some feature on some platform may build, and who wants it."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"]
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
    """A licence expression of SPDX: identifiers, WITH, AND, OR and brackets; `/` is an old OR."""

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
    """What is wrong with its licence."""
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
    """What is wrong with where it comes from."""
    where = package["source"]
    if where is None:
        return None
    kind, _, address = where.partition("+")
    allowed = {"registry": said["allow-registry"], "git": said["allow-git"]}.get(kind, [])
    return None if address.split("?")[0].split("#")[0] in allowed else f"comes from {where}"


def ban(package, said):
    """Why it may not be there."""
    if package["name"] in {one["crate"] for one in said["deny"]}:
        return "is not wanted"
    wild = [one["name"] for one in package["dependencies"] if one["req"] == "*" and not one.get("path")]
    return f"takes any version of {', '.join(wild)}" if wild and package["source"] is None else None


def main():
    said = rules(sys.argv[1] if len(sys.argv) > 1 else "deny.toml")
    packages, wanted = graph()
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
