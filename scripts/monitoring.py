#!/usr/bin/env python3
"""Holds the files of deploy/compose/monitoring.yml against each other, without starting anything: what Prometheus, Grafana and the
collector are told about one another, and about the roles, has to be so. Then each is broken in one place, which has to be seen.

    scripts/monitoring.py FILE      the merged compose file (docker-compose config); exit code 0, or 1 and what is wrong

Needs PyYAML (target/tools/kubernetes has it). What the metrics themselves are is a test: tests/tests/operating/telemetry.rs.
"""

import copy
import json
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import yaml

ROOT = Path(__file__).parent.parent
FILES = [
    "deploy/prometheus/prometheus.yml",
    "deploy/grafana/provisioning/datasources/livetape.yml",
    "deploy/grafana/provisioning/dashboards/livetape.yml",
    "deploy/grafana/dashboards/livetape.json",
    "deploy/otel/collector.yml",
]
# What the smallest distribution of the collector has, the one that monitoring.yml runs, of what is useful here; and the ports of others' images.
COMPONENTS = {
    "receivers": {"otlp"},
    "processors": {"memory_limiter", "batch", "attributes", "filter", "probabilistic_sampler", "resource", "span"},
    "exporters": {"otlp", "otlphttp", "debug", "nop"},
}
PORTS = {"prometheus": {9090}, "jaeger": {16686, 4317, 4318}, "grafana": {3000}}


def read(name):
    return yaml.safe_load((ROOT / name).read_text())


def host_port(text):
    url = urlsplit(text if "//" in text else f"//{text}")
    return url.hostname, url.port


def mounted(service, path):
    """Where the file that a container sees under this path is in the project."""
    for volume in service.get("volumes", []):
        source, target = volume.split(":")[:2] if isinstance(volume, str) else (volume["source"], volume["target"])
        if path == target or path.startswith(target + "/"):
            return Path(source + path.removeprefix(target))
    return Path("/nowhere") / path.lstrip("/")


def look(compose, files):
    prometheus, sources, boards, board, collector = files
    services, wrong = compose["services"], []

    def need(holds, what):
        if not holds:
            wrong.append(what)

    def reached(text, who):
        host, port = host_port(text)
        need(host in services and port in PORTS.get(host, {9464}), f"{who}: there is no {text}")

    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0] if isinstance(volume, str) else volume["source"]
            need("/" not in source or "/deploy/" not in source or Path(source).exists(), f"{name}: there is no {source}")

    # Prometheus: its file, its rules, the roles.
    command = dict(word.lstrip("-").split("=", 1) for word in services["prometheus"]["command"])
    config = mounted(services["prometheus"], command["config.file"])
    need(config.exists(), f"prometheus: there is no {config}")
    need(all((config.parent / rules).exists() for rules in prometheus["rule_files"]), "prometheus: a rule file is missing")
    jobs = {job["job_name"]: job for job in prometheus["scrape_configs"]}
    targets = [target for job in jobs.values() for one in job["static_configs"] for target in one["targets"]]
    for target in targets:
        reached(target, "prometheus")
    need({host_port(target)[0] for target in targets} >= {"recorder", "gateway", "capture"}, "prometheus: a role is not asked")
    rules, texts = (ROOT / "deploy/prometheus/livetape.rules.yml").read_text(), json.dumps(board)
    need(set(re.findall(r'job=\\*"(\w+)', rules + texts)) <= set(jobs), "a job that Prometheus does not have is asked for")

    # Grafana: datasources that exist, the folder that it is told of, the dashboard at home.
    for source in sources["datasources"]:
        reached(source["url"], f"datasource {source['name']}")
    known = {source["uid"]: source["type"] for source in sources["datasources"]}
    variables = {one["name"]: one for one in board["templating"]["list"]}
    used = re.findall(r'"datasource": \{"type": "(\w+)", "uid": "([^"]+)"\}', json.dumps(board))
    for kind, uid in used:
        variable = variables.get(uid.removeprefix("${").removesuffix("}"))
        need(known.get(uid) == kind or (variable and variable["type"] == "datasource" and variable["query"] == kind), f"dashboard: no datasource {uid}")
    need(sum(source.get("isDefault", False) for source in sources["datasources"]) == 1, "one datasource is the default")
    folder = mounted(services["grafana"], boards["providers"][0]["options"]["path"])
    need(folder.is_dir() and list(folder.glob("*.json")), f"grafana: no dashboards in {folder}")
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    need(mounted(services["grafana"], home).exists(), f"grafana: there is no {home}")
    need(mounted(services["grafana"], "/etc/grafana/provisioning/datasources").is_dir(), "grafana: no datasources where it looks for them")

    # The dashboard: every panel by itself in its place.
    ids = [panel["id"] for panel in board["panels"]]
    need(len(ids) == len(set(ids)), "dashboard: an id twice")
    cells = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        need(not own & cells and at["x"] + at["w"] <= 24, f"dashboard: {panel['title']} lies upon another")
        cells |= own

    # The collector: what its pipelines are made of is there and used; who sends to it, and where it sends.
    parts = {kind: set(collector[kind]) for kind in COMPONENTS}
    for kind, names in parts.items():
        inside = {name for pipeline in collector["service"]["pipelines"].values() for name in pipeline[kind]}
        need(inside == names, f"collector: {kind} {names ^ inside} are not in both places")
        need({name.split("/")[0] for name in names} <= COMPONENTS[kind], f"collector: there are no {kind} {names - COMPONENTS[kind]}")
    for exporter in collector["exporters"].values():
        reached(exporter["endpoint"], "collector")
    listens = collector["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]
    for role in ("recorder", "gateway", "capture"):
        need(host_port(services[role]["environment"]["LIVETAPE_OTLP_URL"]) == ("otel-collector", host_port(listens)[1]), f"{role}: its traces go elsewhere")
    own = [word.split("=", 1)[1] for word in services["otel-collector"]["command"] if word.startswith("--config=")]
    need(mounted(services["otel-collector"], own[0]).exists(), f"collector: there is no {own[0]}")
    return wrong


# Which file, the way in it, what it becomes, a word of what has to be said.
MUTATIONS = [
    (0, ("scrape_configs", 0, "static_configs", 1, "targets", 0), "gatway:9464", "no gatway:9464"),
    (0, ("scrape_configs", 0, "static_configs", 1, "targets", 0), "gateway:9465", "no gateway:9465"),
    (0, ("scrape_configs", 0, "static_configs", 1, "targets"), [], "a role is not asked"),
    (0, ("scrape_configs", 0, "job_name"), "tapes", "a job that"),
    (0, ("rule_files", 0), "rules.yml", "a rule file"),
    (1, ("datasources", 0, "url"), "http://prometheus:9091", "no http://prometheus:9091"),
    (1, ("datasources", 0, "isDefault"), False, "the default"),
    (2, ("providers", 0, "options", "path"), "/var/lib/grafana/boards", "no dashboards in"),
    (3, ("panels", 3, "datasource", "uid"), "${prom}", "no datasource ${prom}"),
    (3, ("panels", 3, "gridPos", "x"), 0, "lies upon another"),
    (3, ("panels", 3, "id"), 2, "an id twice"),
    (4, ("service", "pipelines", "traces", "exporters", 0), "jaeger", "are not in both places"),
    (4, ("processors", "tail_sampling"), {}, "there are no processors"),
    (4, ("exporters", "otlp", "endpoint"), "jaeger:4316", "no jaeger:4316"),
    (4, ("receivers", "otlp", "protocols", "grpc", "endpoint"), "0.0.0.0:4327", "its traces go elsewhere"),
]

if __name__ == "__main__":
    compose, files = yaml.safe_load(Path(sys.argv[1]).read_text()), [read(name) for name in FILES]
    if wrong := look(compose, files):
        sys.exit("\n".join(wrong))
    for at, way, value, word in MUTATIONS:
        broken = copy.deepcopy(files)
        place = broken[at]
        for step in way[:-1]:
            place = place[step]
        place[way[-1]] = value
        said = look(compose, broken)
        if not any(word in one for one in said):
            sys.exit(f"monitoring: {FILES[at]} {'/'.join(map(str, way))} = {value}: {word!r} is not in {said}")
    print(f"monitoring: its files agree with each other and with the roles; {len(MUTATIONS)} wrong ones, each is seen")
