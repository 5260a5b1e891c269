#!/usr/bin/env python3
"""Tells with what the containers of Livetape are started, as JSON: what manifests or compose files say of each, put together as a
kubelet or an engine does it. A test starts them with it (tests/tests/operating/containers.rs).

    scripts/containers.py kubernetes FILE          of a rendered overlay
    scripts/containers.py compose ENV FILE...      of compose files, the later upon the earlier, with the settings of ENV

Of each: `name`, `args`, `env`, `mounts` (what is mounted where) and `files` in these (as text, or `made`: by which path docs/kubernetes.md
makes it). Needs PyYAML.
"""

import json
import re
import sys
from pathlib import Path

import manifests
import yaml

ROLES = ("run", "recorder", "gateway", "capture")
# What a pod is told of itself.
NODE = "node-1"


def image():
    """The environment that the image brings."""
    return dict(re.findall(r"^ENV (\w+)=(\S+)$", (manifests.ROOT / "deploy/docker/Dockerfile").read_text(), re.M))


def contents(m, volume):
    """The files in a volume, by name."""
    for word, kind, name in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
        if source := volume.get(word):
            texts = (m.named(kind, source[name]) or {}).get("data", {})
            made = m.made_by_hand.get(source[name], {}) if kind == "Secret" else {}
            found = {key: {"text": text} for key, text in texts.items()} | {key: {"made": path} for key, path in made.items()}
            return {item["path"]: found[item["key"]] for item in source["items"]} if "items" in source else found
    return {}


def of_manifests(text):
    m, found = manifests.Manifests(text), []
    for one in m.workloads():
        volumes = {volume["name"]: volume for volume in manifests.spec(one).get("volumes", [])}
        for container in manifests.containers(one):
            env = image() | manifests.environment(m, one, container)
            env |= {variable["name"]: NODE for variable in container.get("env", []) if "fieldRef" in variable.get("valueFrom", {})}
            name, mounts, files = f"{one['kind']} {one['metadata']['name']}", {}, {}
            for mount in container.get("volumeMounts", []):
                mounts[mount["mountPath"]] = f"{one['metadata']['name']}-{mount['name']}"
                for file, content in contents(m, volumes.get(mount["name"], {})).items():
                    files[f"{mount['mountPath']}/{file}"] = content
            args = [re.sub(r"\$\((\w+)\)", lambda match: env.get(match[1], match[0]), word) for word in container["args"]]
            found.append({"name": name, "args": args, "env": env, "mounts": mounts, "files": files})
    return found


def interpolated(value, settings):
    """`${NAME}`, `${NAME-if it is not there}`, `${NAME:-if it is not there or empty}`."""

    def put(match):
        name, how, default = match.groups()
        said = settings.get(name)
        return default or "" if said is None or (said == "" and how == ":-") else said

    match value:
        case str():
            return re.sub(r"\$\{(\w+)(?:(:?-)([^}]*))?\}", put, value)
        case list():
            return [interpolated(one, settings) for one in value]
        case dict():
            return {key: interpolated(one, settings) for key, one in value.items()}
    return value


def of_compose(settings, files):
    services = {}
    for text in files:
        for name, said in interpolated(yaml.safe_load(text), settings)["services"].items():
            known = services.setdefault(name, {"environment": {}, "volumes": []})
            environment, volumes = said.get("environment", {}), said.get("volumes", [])
            known |= said | {"environment": known["environment"] | environment, "volumes": known["volumes"] + volumes}
    found = []
    for name, service in services.items():
        # A variable without a value is passed on if it is there.
        env = {key: settings.get(key) if value is None else str(value) for key, value in service["environment"].items()}
        env = image() | {key: value for key, value in env.items() if value is not None}
        mounts = {volume.split(":")[1]: volume.split(":")[0] for volume in service["volumes"]}
        found.append({"name": name, "args": service.get("command", []), "env": env, "mounts": mounts, "files": {}})
    return found


def main(kind, *paths):
    texts = [Path(path).read_text() for path in paths]
    if kind == "kubernetes":
        found = of_manifests(texts[0])
    else:
        settings = dict(line.split("=", 1) for line in texts[0].splitlines() if line and not line.startswith("#"))
        found = of_compose(settings, texts[1:])
    print(json.dumps([one for one in found if one["args"] and one["args"][0] in ROLES]))


if __name__ == "__main__":
    main(*sys.argv[1:])
