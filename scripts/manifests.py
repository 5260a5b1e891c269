#!/usr/bin/env python3
"""Holds rendered manifests of Kubernetes against each other: what is named has to be there.

A schema knows which words there are; this knows whether a port, a Secret or a label that one object names exists in another, whether a
selector finds the pods that it means, whether sizes are sizes, and whether every pod fits the restricted profile.

    scripts/manifests.py FILE               exit code 0, or 1 and what is wrong
    scripts/manifests.py --objects FILE     which objects there are, as docs/kubernetes.md shows them

That each of these is seen: manifests_wrong.py. Secrets are made by hand: one counts as there if docs/kubernetes.md makes it. Needs PyYAML (target/tools/kubernetes has it).
"""

import re
import sys
from pathlib import Path

import yaml

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
UNITS = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
# What the restricted profile allows besides claims.
VOLUMES = {"configMap", "secret", "emptyDir", "projected", "downwardAPI", "persistentVolumeClaim", "ephemeral", "csi"}
ROOT = Path(__file__).parent.parent


class Manifests:
    """All objects of one overlay, and what is wrong with them."""

    def __init__(self, text):
        self.all = [one for one in yaml.safe_load_all(text) if one]
        self.wrong = []
        self.made_by_hand = made_by_hand()

    def of(self, *kinds):
        return [one for one in self.all if one["kind"] in kinds]

    def named(self, kind, name):
        return next((one for one in self.of(kind) if one["metadata"]["name"] == name), None)

    def workloads(self):
        return self.of(*WORKLOADS)

    def selected(self, selector):
        """Those whose pods have these labels."""
        return [one for one in self.workloads() if fits(selector, labels(one))]

    def say(self, one, what):
        self.wrong.append(f"{one['kind']} {one['metadata']['name']}: {what}")


def made_by_hand():
    """The Secrets that the walk makes: what of each key's content it says, which is a file, or nothing."""
    text = (ROOT / "docs/kubernetes.md").read_text().replace("\\\n", " ")
    found = {}
    for kind, name, rest in re.findall(r"create secret (\w+) ([a-z0-9-]+)(.*)", text):
        keys = {key or Path(path).name: path for key, path in re.findall(r"--from-file=(?:([\w.-]+)=)?([\w./-]+)", rest)}
        keys |= {key: None for key in re.findall(r"--from-literal=([\w.-]+)=", rest)}
        if kind == "tls":
            keys |= {f"tls.{ending}": re.search(rf"--{word}=(\S+)", rest)[1] for word, ending in (("cert", "crt"), ("key", "key"))}
        found[name] = keys
    return found


def spec(one):
    return one["spec"]["template"]["spec"]


def labels(one):
    return one["spec"]["template"]["metadata"].get("labels", {})


def containers(one):
    return spec(one).get("initContainers", []) + spec(one)["containers"]


def ports(one):
    """Of all containers of a pod, by name and by number."""
    found = {}
    for container in containers(one):
        for port in container.get("ports", []):
            found[port.get("name")] = found[port["containerPort"]] = port["containerPort"]
    return found


def fits(selector, those):
    def expression(e):
        value = those.get(e["key"])
        known = {"In": value in e.get("values", []), "NotIn": value not in e.get("values", [])}
        return known | {"Exists": value is not None, "DoesNotExist": value is None}

    wanted = selector.get("matchLabels", {})
    return all(those.get(k) == v for k, v in wanted.items()) and all(
        expression(e)[e["operator"]] for e in selector.get("matchExpressions", [])
    )


def size(text):
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]{0,2})", str(text))
    return float(match[1]) * UNITS[match[2]] if match and match[2] in UNITS else None


def seconds(text):
    match = re.fullmatch(r"(\d+)(ms|s|m)", text)
    return int(match[1]) * {"ms": 0.001, "s": 1, "m": 60}[match[2]]


def there(m, one, kind, name, key=None, optional=False):
    """Whether a ConfigMap or a Secret is there, with this key."""
    if kind == "Secret" and name in m.made_by_hand:
        known = m.made_by_hand[name]
    elif found := m.named(kind, name):
        known = set(found.get("data", {})) | set(found.get("binaryData", {}))
    else:
        if not optional:
            m.say(one, f"there is no {kind} {name}")
        return
    if key and key not in known:
        m.say(one, f"{kind} {name} has no {key}, only {sorted(known)}")


def environment(m, one, container):
    """Variables of a container, and whether what they come from is there."""
    said = {}
    for source in container.get("envFrom", []):
        for word, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if ref := source.get(word):
                there(m, one, kind, ref["name"], optional=ref.get("optional", False))
                said |= (m.named(kind, ref["name"]) or {}).get("data", {})
    for variable in container.get("env", []):
        said[variable["name"]] = variable.get("value", "")
        for word, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if ref := variable.get("valueFrom", {}).get(word):
                there(m, one, kind, ref["name"], ref["key"], ref.get("optional", False))
    return said


def volumes(m, one):
    known = {claim["metadata"]["name"] for claim in one["spec"].get("volumeClaimTemplates", [])}
    for volume in spec(one).get("volumes", []):
        known.add(volume["name"])
        for kind in set(volume) - {"name"} - VOLUMES:
            m.say(one, f"volume {volume['name']}: the restricted profile allows no {kind}")
        for word, kind, name in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
            if source := volume.get(word):
                for item in source.get("items", [{"key": None}]):
                    there(m, one, kind, source[name], item["key"], source.get("optional", False))
    mounted = set()
    for container in containers(one):
        for mount in container.get("volumeMounts", []):
            mounted.add(mount["name"])
            if mount["name"] not in known:
                m.say(one, f"there is no volume {mount['name']}")
    for name in known - mounted:
        m.say(one, f"volume {name} is mounted nowhere")


def resources(m, one, container):
    asked = container.get("resources", {})
    limits = asked.get("limits", {})
    if "memory" not in limits:
        m.say(one, "no limit of memory")
    for group in ("requests", "limits"):
        for name, text in asked.get(group, {}).items():
            if size(text) is None:
                m.say(one, f"{group} {name}: {text} is no quantity")
            elif group == "requests" and name in limits and size(limits[name]) and size(text) > size(limits[name]):
                m.say(one, f"asks for more {name} than its limit")


def restricted(m, one, container):
    pod, own = spec(one).get("securityContext", {}), container.get("securityContext", {})
    wanted = {
        "runAsNonRoot": ({**pod, **own}.get("runAsNonRoot"), True),
        "seccompProfile": ({**pod, **own}.get("seccompProfile"), {"type": "RuntimeDefault"}),
        "allowPrivilegeEscalation": (own.get("allowPrivilegeEscalation"), False),
        "readOnlyRootFilesystem": (own.get("readOnlyRootFilesystem"), True),
        "capabilities": (own.get("capabilities"), {"drop": ["ALL"]}),
        "privileged": (own.get("privileged", False), False),
        "automountServiceAccountToken": (spec(one).get("automountServiceAccountToken"), False),
    }
    wanted |= {word: (spec(one).get(word, False), False) for word in ("hostNetwork", "hostPID", "hostIPC")}
    for word, (value, right) in wanted.items():
        if value != right:
            m.say(one, f"{word} is {value} and has to be {right}")
    if not {**pod, **own}.get("runAsUser"):
        m.say(one, "runs as root, or as whoever the image says")
    if any("hostPort" in port for port in container.get("ports", [])):
        m.say(one, "hostPort")
    if not re.search(r":[^/:]+$", container["image"]) or container["image"].endswith(":latest"):
        m.say(one, f"image {container['image']}: no version")


def addresses(m, one, said):
    """Other roles that a setting names are Services with this port."""
    for name in ("LIVETAPE_RECORDER_URL", "LIVETAPE_REDIS_URL"):
        match = re.fullmatch(r"\w+://([a-z0-9-]+):(\d+)", said.get(name, ""))
        if name in said and not (match and service_port(m, match[1], int(match[2]))):
            m.say(one, f"{name}: {said[name]} is no Service with this port")


def spool(m, one, container, said):
    """What waits for the recorder fits the volume: a pod whose emptyDir is larger than its sizeLimit is evicted, and loses all of it."""
    mounts = {mount["mountPath"]: mount["name"] for mount in container.get("volumeMounts", [])}
    name = mounts.get(said.get("LIVETAPE_SPOOL_DIR"))
    volume = next((volume for volume in spec(one).get("volumes", []) if volume["name"] == name), {})
    if "LIVETAPE_SPOOL_DIR" not in said or "emptyDir" not in volume:
        return
    # As many streams as sources may push, or as the arguments name.
    pushed = said.get("LIVETAPE_LIMIT_SOURCES", "") if "LIVETAPE_SOURCE_ADDR" in said else None
    streams = container.get("args", []).count("--stream") if pushed is None else int(pushed) if pushed.isdigit() else 0
    each, room = size(said.get("LIVETAPE_SPOOL_SIZE", "").removesuffix("B")), size(volume["emptyDir"].get("sizeLimit"))
    if not (each and room and streams):
        # In its environment, because the configuration file is no part of this.
        m.say(one, "LIVETAPE_SPOOL_SIZE, LIVETAPE_LIMIT_SOURCES (or --stream) and the sizeLimit of its spool are not all said")
    # A tenth for what is written beside the audio, and for whole blocks.
    elif each * streams * 1.1 > room:
        m.say(one, f"LIVETAPE_SPOOL_SIZE of {streams} streams is too much for its volume {name}")
    elif each * streams * 2 < room:
        m.say(one, f"LIVETAPE_SPOOL_SIZE of {streams} streams leaves most of its volume {name} empty")


def service_port(m, name, port):
    service = m.named("Service", name)
    return bool(service) and any(port in (p["port"], p.get("name")) for p in service["spec"]["ports"])


def workload(m, one):
    selector = one["spec"]["selector"]
    if [one] != m.selected(selector):
        m.say(one, f"its selector finds {[found['metadata']['name'] for found in m.selected(selector)]}")
    known = ports(one)
    for container in containers(one):
        own = {p.get("name") for p in container.get("ports", [])} | {p["containerPort"] for p in container.get("ports", [])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            for how in ("httpGet", "tcpSocket", "grpc"):
                port = container.get(probe, {}).get(how, {}).get("port")
                if port is not None and port not in own:
                    m.say(one, f"{probe}: there is no port {port}")
        said = environment(m, one, container)
        for word in re.findall(r"\$\((\w+)\)", " ".join(container.get("args", []))):
            if word not in said:
                m.say(one, f"$({word}) is not in its environment")
        resources(m, one, container)
        restricted(m, one, container)
        addresses(m, one, said)
        spool(m, one, container, said)
        if container["name"] == "gateway":
            before = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["", "0"])
            if int(before[1]) == 0 or int(before[1]) + seconds(said["LIVETAPE_DRAIN"]) >= spec(one)["terminationGracePeriodSeconds"]:
                m.say(one, "terminationGracePeriodSeconds is not enough for preStop and LIVETAPE_DRAIN")
    volumes(m, one)
    scrape = one["spec"]["template"]["metadata"].get("annotations", {}).get("prometheus.io/port")
    if scrape and int(scrape) not in known:
        m.say(one, f"prometheus.io/port: there is no port {scrape}")
    for claim in one["spec"].get("volumeClaimTemplates", []):
        if size(claim["spec"]["resources"]["requests"]["storage"]) is None:
            m.say(one, "storage is no quantity")
    if one["kind"] == "StatefulSet":
        service = m.named("Service", one["spec"]["serviceName"])
        if not service or service["spec"].get("clusterIP") != "None" or not fits(
            {"matchLabels": service["spec"]["selector"]}, labels(one)
        ):
            m.say(one, f"serviceName: {one['spec']['serviceName']} is no headless Service of its pods")


def service(m, one):
    found = m.selected({"matchLabels": one["spec"]["selector"]})
    if len(found) != 1:
        m.say(one, f"its selector finds {len(found)} workloads")
    for port in one["spec"]["ports"]:
        for pod in found:
            if port.get("targetPort", port["port"]) not in ports(pod):
                m.say(one, f"there is no port {port.get('targetPort')} in {pod['metadata']['name']}")


def network_policy(m, one):
    pods = m.selected(one["spec"]["podSelector"])
    if not pods:
        m.say(one, "its podSelector finds no pod")
    for way, peer in (("ingress", "from"), ("egress", "to")):
        if one["spec"].get(way) and way.title() not in one["spec"]["policyTypes"]:
            m.say(one, f"{way} without its type")
        for rule in one["spec"].get(way, []):
            others = [p["podSelector"] for p in rule.get(peer, []) if "podSelector" in p and "namespaceSelector" not in p]
            for selector in others:
                if not m.selected(selector):
                    m.say(one, f"{peer}: its podSelector finds no pod")
            ends = pods if way == "ingress" else [pod for selector in others for pod in m.selected(selector)]
            for port in rule.get("ports", []):
                if (isinstance(port["port"], str) or way == "ingress") and not any(port["port"] in ports(pod) for pod in ends):
                    m.say(one, f"{way}: nobody has a port {port['port']}")


def ingress(m, one):
    # A body of a growing recording waits so long for its source (growing_silence in crates/gateway/src/config.rs).
    for name, text in one["metadata"].get("annotations", {}).items():
        if name.endswith("/proxy-read-timeout") and not (text.isdigit() and int(text) > 600):
            m.say(one, f"proxy-read-timeout {text} cuts listeners who wait for a source that is away")
    for tls in one["spec"].get("tls", []):
        there(m, one, "Secret", tls["secretName"], "tls.crt")
    for rule in one["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            port = backend["port"].get("name") or backend["port"].get("number")
            if not service_port(m, backend["name"], port):
                m.say(one, f"there is no Service {backend['name']} with a port {port}")


def autoscaler(m, one):
    ref = one["spec"]["scaleTargetRef"]
    if not m.named(ref["kind"], ref["name"]):
        m.say(one, f"there is no {ref['kind']} {ref['name']}")
    elif "replicas" in m.named(ref["kind"], ref["name"])["spec"]:
        m.say(one, f"{ref['name']} says itself how many: each apply would undo the scaling")
    if one["spec"]["minReplicas"] > one["spec"]["maxReplicas"]:
        m.say(one, "minReplicas is more than maxReplicas")


def disruption_budget(m, one):
    found = m.selected(one["spec"]["selector"])
    if not found:
        m.say(one, "its selector finds no pod")
    for pod in found:
        scaled = [a["spec"]["minReplicas"] for a in m.of("HorizontalPodAutoscaler") if a["spec"]["scaleTargetRef"]["name"] == pod["metadata"]["name"]]
        least = min(scaled, default=pod["spec"].get("replicas", 1))
        if one["spec"].get("minAvailable", 0) >= least or one["spec"].get("maxUnavailable", 1) == 0:
            m.say(one, f"with {least} of them no node could ever be drained")


CHECKS = {
    **{kind: workload for kind in WORKLOADS},
    "Service": service,
    "NetworkPolicy": network_policy,
    "Ingress": ingress,
    "HorizontalPodAutoscaler": autoscaler,
    "PodDisruptionBudget": disruption_budget,
}


def look(text):
    m = Manifests(text)
    for one in m.all:
        CHECKS.get(one["kind"], lambda *_: None)(m, one)
    return m.wrong


def objects(text):
    """Kinds with their names; those that are made of content without its hash."""
    found = {}
    for one in yaml.safe_load_all(text):
        name = one["metadata"]["name"]
        found.setdefault(one["kind"], []).append(re.sub(r"-[a-z0-9]{10}$", "", name) if one["kind"] == "ConfigMap" else name)
    return "".join(f"{kind:24}{' '.join(sorted(names))}\n" for kind, names in sorted(found.items()))


if __name__ == "__main__":
    if sys.argv[1] == "--objects":
        print(objects(Path(sys.argv[2]).read_text()), end="")
        sys.exit()
    if wrong := look(Path(sys.argv[1]).read_text()):
        sys.exit("\n".join(wrong))
