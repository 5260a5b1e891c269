#!/usr/bin/env python3
"""Breaks rendered manifests in one place after the other: manifests.py has to see each.

    scripts/manifests_wrong.py FILE     the overlay production; exit code 0, or 1 and what was not seen
"""

import sys
from pathlib import Path

import manifests
import yaml

# What is broken on purpose: where (kind/name and the way to it), what it becomes, and a word of what has to be said.
GONE = object()
CONTAINER = ("spec", "template", "spec", "containers", 0)
MUTATIONS = [
    ("StatefulSet/recorder", (*CONTAINER, "readinessProbe", "httpGet", "port"), "opps", "no port opps"),
    ("StatefulSet/recorder", (*CONTAINER, "resources", "limits", "memory"), "512Mo", "no quantity"),
    ("StatefulSet/recorder", (*CONTAINER, "resources", "limits", "memory"), "1Mi", "more memory than its limit"),
    ("StatefulSet/recorder", (*CONTAINER, "resources", "limits"), GONE, "no limit of memory"),
    ("StatefulSet/recorder", ("spec", "serviceName"), "recordr", "no headless Service"),
    ("StatefulSet/recorder", (*CONTAINER, "volumeMounts", 0, "name"), "konfig", "no volume konfig"),
    ("StatefulSet/recorder", (*CONTAINER, "envFrom", 0, "configMapRef", "name"), "livetap", "no ConfigMap livetap"),
    ("StatefulSet/recorder", ("spec", "template", "spec", "volumes", "access", "secret", "secretName"), "axess", "no Secret axess"),
    ("StatefulSet/recorder", ("spec", "template", "spec", "volumes", "tls", "secret", "items", 0, "key"), "tls.cert", "has no tls.cert"),
    ("StatefulSet/recorder", ("spec", "template", "spec", "volumes", "config"), {"name": "config", "hostPath": {"path": "/"}}, "no hostPath"),
    ("StatefulSet/recorder", ("spec", "volumeClaimTemplates", 0, "spec", "resources", "requests", "storage"), "500GB", "storage is no"),
    ("StatefulSet/recorder", ("spec", "template", "metadata", "annotations", "prometheus.io/port"), "9465", "prometheus.io/port"),
    ("Deployment/gateway", (*CONTAINER, "securityContext", "capabilities"), GONE, "capabilities is"),
    ("Deployment/gateway", (*CONTAINER, "securityContext", "capabilities", "drop"), ["NET_RAW"], "capabilities is"),
    ("Deployment/gateway", (*CONTAINER, "securityContext", "readOnlyRootFilesystem"), False, "readOnlyRootFilesystem"),
    ("Deployment/gateway", (*CONTAINER, "securityContext", "allowPrivilegeEscalation"), True, "allowPrivilegeEscalation"),
    ("Deployment/gateway", ("spec", "template", "spec", "securityContext", "runAsNonRoot"), GONE, "runAsNonRoot"),
    ("Deployment/gateway", ("spec", "template", "spec", "securityContext", "runAsUser"), 0, "runs as root"),
    ("Deployment/gateway", ("spec", "template", "spec", "securityContext", "seccompProfile"), GONE, "seccompProfile"),
    ("Deployment/gateway", ("spec", "template", "spec", "hostNetwork"), True, "hostNetwork"),
    ("Deployment/gateway", ("spec", "template", "spec", "automountServiceAccountToken"), True, "automount"),
    ("Deployment/gateway", (*CONTAINER, "image"), "livetape", "no version"),
    ("Deployment/gateway", (*CONTAINER, "image"), "registry.example:5000/livetape", "no version"),
    ("Deployment/gateway", ("spec", "template", "spec", "terminationGracePeriodSeconds"), 25, "preStop"),
    ("Deployment/gateway", (*CONTAINER, "lifecycle"), GONE, "preStop"),
    ("Deployment/capture-pushed", ("spec", "selector", "matchLabels"), {"app.kubernetes.io/name": "capture"}, "its selector finds"),
    ("DaemonSet/capture-sound-card", (*CONTAINER, "args"), ["capture", "--stream", "$(NODDE)"], "$(NODDE)"),
    ("Deployment/capture-pushed", ("spec", "template", "spec", "volumes", "spool", "emptyDir", "sizeLimit"), "2Gi", "of 64 streams is too much"),
    ("Deployment/capture-pushed", (*CONTAINER, "env", "LIVETAPE_SPOOL_SIZE", "value"), "1GiB", "of 64 streams is too much"),
    ("Deployment/capture-pushed", (*CONTAINER, "env", "LIVETAPE_LIMIT_SOURCES"), GONE, "are not all said"),
    ("DaemonSet/capture-sound-card", (*CONTAINER, "env", "LIVETAPE_SPOOL_SIZE", "value"), "8GiB", "of 1 streams is too much"),
    ("DaemonSet/capture-sound-card", (*CONTAINER, "env", "LIVETAPE_SPOOL_SIZE", "value"), "1GiB", "most of its volume spool empty"),
    ("DaemonSet/capture-sound-card", (*CONTAINER, "env", "LIVETAPE_SPOOL_SIZE"), GONE, "are not all said"),
    ("DaemonSet/capture-sound-card", ("spec", "template", "spec", "volumes", "spool", "emptyDir"), {}, "are not all said"),
    ("Service/gateway", ("spec", "ports", 0, "targetPort"), "web", "no port web"),
    ("Service/gateway", ("spec", "selector"), {"app.kubernetes.io/name": "gatway"}, "finds 0 workloads"),
    ("Service/sources", ("spec", "selector"), {"app.kubernetes.io/name": "capture"}, "finds 2 workloads"),
    ("Service/recorder", ("spec", "clusterIP"), GONE, "no headless Service"),
    ("Service/recorder", ("spec", "ports", 0, "port"), 7071, "LIVETAPE_RECORDER_URL"),
    ("NetworkPolicy/redis", ("spec", "ingress", 0, "ports", 0, "port"), "rediss", "nobody has a port rediss"),
    ("NetworkPolicy/redis", ("spec", "podSelector", "matchLabels"), {"app.kubernetes.io/name": "cache"}, "finds no pod"),
    ("NetworkPolicy/to-recorder", ("spec", "egress", 0, "to", 0, "podSelector", "matchLabels"), {"a": "b"}, "to: its podSelector"),
    ("NetworkPolicy/to-recorder", ("spec", "policyTypes"), ["Ingress"], "egress without its type"),
    ("Ingress/gateway", ("metadata", "annotations", "nginx.ingress.kubernetes.io/proxy-read-timeout"), "75", "proxy-read-timeout 75"),
    ("Ingress/gateway", ("spec", "tls", 0, "secretName"), "audio-tls", "no Secret audio-tls"),
    ("Ingress/gateway", ("spec", "rules", 0, "http", "paths", 0, "backend", "service", "port", "name"), "https", "a port https"),
    ("HorizontalPodAutoscaler/gateway", ("spec", "scaleTargetRef", "name"), "gatevay", "no Deployment gatevay"),
    ("HorizontalPodAutoscaler/gateway", ("spec", "minReplicas"), 11, "more than maxReplicas"),
    ("PodDisruptionBudget/gateway", ("spec", "maxUnavailable"), 0, "drained"),
    ("PodDisruptionBudget/gateway", ("spec", "minAvailable"), 2, "drained"),
]


def step(at, name):
    """Where something is in its list: kubectl's versions do not agree on the order."""
    if isinstance(at, list) and isinstance(name, str):
        return next(n for n, one in enumerate(at) if one["name"] == name)
    return name


def break_in_turn(text):
    for place, way, value, word in MUTATIONS:
        objects = [one for one in yaml.safe_load_all(text) if one]
        at = next(one for one in objects if f"{one['kind']}/{one['metadata']['name']}" == place)
        for name in way[:-1]:
            at = at[step(at, name)]
        last = step(at, way[-1])
        if value is GONE:
            del at[last]
        else:
            at[last] = value
        said = manifests.look(yaml.safe_dump_all(objects))
        if not any(word in one for one in said):
            sys.exit(f"manifests: {place} {'/'.join(map(str, way))} = {value}: {word!r} is not in {said}")
    print(f"manifests: {len(MUTATIONS)} wrong ones, each is seen")


if __name__ == "__main__":
    break_in_turn(Path(sys.argv[1]).read_text())
