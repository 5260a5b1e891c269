"""Asks a real gateway whatever its own description allows, and much that it does not: every answer has to be described.

Run by pytest, which tests/tests/api/openapi.rs starts:

    LIVETAPE_URL     address of a `livetape run` that records at least one stream; its recordings are changed and deleted
    LIVETAPE_CASES   requests of random content for each operation
    LIVETAPE_TOKENS  if it is set: a gateway that asks who one is and allows little in a second; a token that may everything, one
                     that may only listen, and one that counts nowhere. Each request shows one of them, or nothing

Finite replies are read wholly. What may go on for ever is read until there is enough to judge it.
"""

import copy
import json
import os
import random
import time

import jsonschema_rs
import requests
import schemathesis
import urllib3
from requests.adapters import HTTPAdapter

BASE = os.environ["LIVETAPE_URL"].rstrip("/")
CASES = int(os.environ.get("LIVETAPE_CASES", "20"))
TOKENS = os.environ.get("LIVETAPE_TOKENS", "").split()
SEED = 20261120
# Of a body that may go on for ever: so many bytes, or so many seconds.
ENOUGH_BYTES, ENOUGH_SECONDS = 64 * 1024, 0.3
# So many seconds a service may say "not now".
PATIENCE = 20
ENDLESS = ("audio/", "application/octet-stream", "multipart/", "text/event-stream")

WHOLE = requests.get(f"{BASE}/openapi.json", timeout=10).json()


# Every status that was answered.
SEEN = set()


class Bounded(HTTPAdapter):
    """Reads what is finite to its end, and of the rest enough. Comes back when it is told to: then there must be an answer."""

    def __init__(self, not_now):
        super().__init__()
        self.not_now = not_now

    def send(self, request, **options):
        options |= {"stream": True, "timeout": (5, 15)}
        reply, until = super().send(request, **options), time.monotonic() + PATIENCE
        while reply.status_code in self.not_now and "Retry-After" in reply.headers and time.monotonic() < until:
            reply.close()
            time.sleep(min(int(reply.headers["Retry-After"]), 2))
            reply = super().send(request, **options)
        SEEN.add(reply.status_code)
        if reply.headers.get("Content-Type", "").startswith(ENDLESS):
            reply._content, reply._content_consumed = self.beginning(reply), True
            reply.close()
        return reply

    @staticmethod
    def beginning(reply):
        taken, began = b"", time.monotonic()
        try:
            for piece in reply.raw.stream(8192):
                taken += piece
                if len(taken) >= ENOUGH_BYTES or time.monotonic() - began > ENOUGH_SECONDS:
                    break
        except urllib3.exceptions.HTTPError:
            pass  # Cut: only what was said before counts here.
        return taken


session = requests.Session()
session.mount("http://", Bounded({503}))
# What is asked only to know what to ask for, by somebody who may.
knowing = requests.Session()
knowing.mount("http://", Bounded({503, 429}))
if TOKENS:
    knowing.headers["Authorization"] = f"Bearer {TOKENS[0]}"
choice = random.Random(SEED)


def parts(schema):
    """Every schema inside a schema."""
    if isinstance(schema, dict):
        yield schema
    for inside in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else []:
        yield from parts(inside)


def strict(schemas):
    """The same schemas, by which nothing may be sent that is not described."""
    schemas = copy.deepcopy(schemas)
    # What another one adds to may say more than it does.
    added_to = {part["$ref"].split("/")[-1] for part in parts(schemas) if "$ref" in part and "properties" in part}
    for name, schema in schemas.items():
        for part in parts(schema):
            if part.get("type") == "object" and "properties" in part and not (part is schema and name in added_to):
                part.setdefault("unevaluatedProperties", False)
    return schemas


def ask(method, path, **options):
    return knowing.request(method, BASE + path, **options)


def recordings():
    return ask("GET", "/recordings?limit=1000").json()["recordings"]


def streams():
    return [one["name"] for one in ask("GET", "/streams").json()["streams"]]


KNOWN = {"until": 0, "recordings": []}


def enough():
    """Some recordings of each stream, whatever was deleted before. Where few requests are taken, seldom asked for."""
    if TOKENS and KNOWN["until"] > time.monotonic():
        return KNOWN["recordings"]
    there = made()
    KNOWN.update(until=time.monotonic() + 10, recordings=there)
    return there


def made():
    there = recordings()
    for stream in streams():
        for _ in range(4 - sum(one["stream"] == stream for one in there)):
            ask("POST", f"/streams/{stream}/recordings")
    return recordings()


@schemathesis.hook
def before_call(context, case, kwargs):
    """Most requests that could be meant are for what exists."""
    meant = case.meta is None or case.meta.generation.mode.is_positive
    if meant and case.path_parameters and choice.random() < 0.8:
        there = enough()
        if "id" in case.path_parameters and there:
            case.path_parameters["id"] = choice.choice(there)["id"]
        if "stream" in case.path_parameters and there:
            case.path_parameters["stream"] = choice.choice(there)["stream"]
    shown = choice.choice([*TOKENS[:1], *TOKENS, None]) if TOKENS else None
    if shown:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {shown}"}


SPANS = ("getAudio", "getClip", "getMp3Clip", "getPeaks", "getPeaksAsJson", "getPeaksAsDat", "getLoudness", "listRecordings", "plainPage")
LISTS = [of + form for of in ("allAs", "streamAs") for form in ("M3u", "Pls", "Xspf")]
TOGETHER = {name + head for name in ("listen", *LISTS, *SPANS, "login", "mark", "update") for head in ("", "Head")}
ABOUT_SENSE = ("positive_data_acceptance", "negative_data_rejection", "ignored_auth")
config = schemathesis.Config.from_dict(
    {
        "seed": SEED,
        "generation": {"max-examples": CASES, "mode": "all"},
        # Every value of every parameter is tried on a gateway that is open; what is refused does not depend on it.
        "phases": {"coverage": {"enabled": not TOKENS}},
        "operations": [
            # What one parameter means for another one, what a token is, and which renditions are offered, cannot be said.
            {"include-operation-id": sorted(TOGETHER), "checks": {"positive_data_acceptance": {"enabled": False}}},
            # Who may not, or not now, is told so, whatever it asks.
            *([{"include-path-regex": ".*", "checks": {name: {"enabled": False} for name in ABOUT_SENSE}}] if TOKENS else []),
            # Preflights are answered whatever they are about.
            {"include-method": "OPTIONS", "checks": {"negative_data_rejection": {"enabled": False}}},
        ],
    }
)
tightened = copy.deepcopy(WHOLE)
tightened["components"]["schemas"] = strict(WHOLE["components"]["schemas"])
schema = schemathesis.openapi.from_dict(tightened, config=config)
schema.base_url = BASE


@schema.parametrize()
def test_every_answer_is_described(case):
    reply = case.call_and_validate(session=session, base_url=BASE)
    if reply.status_code == 200 and case.method == "GET" and case.operation.definition.raw["tags"] == ["audio"]:
        assert reply.content, "a body that goes on begins"


def test_events_are_what_they_are_said_to_be():
    stream = streams()[0]
    for path in ("/events", f"/streams/{stream}/events"):
        text = ask("GET", path).text
        told = [dict(line.split(": ", 1) for line in event.splitlines()) for event in text.split("\n\n") if "data: " in event]
        kinds = {"message": "StreamEvent", "beat": "Beat", "level": "Level"}
        assert {one.get("event", "message") for one in told} >= {"message", "beat"}, (path, text)
        for one in told:
            judge(path, tightened["components"]["schemas"][kinds[one.get("event", "message")]], json.loads(one["data"]))


def judge(place, schema, example):
    judged = {"$ref": "#/schema", "schema": schema, "components": tightened["components"]}
    errors = [str(error) for error in jsonschema_rs.validator_for(judged).iter_errors(example)]
    assert not errors, (place, example, errors)


def test_the_examples_are_what_they_are_examples_of():
    def all_of(place, media):
        examples = [one["value"] for one in media.get("examples", {}).values()] + [media[key] for key in ("example",) if key in media]
        for example in examples:
            judge(place, media.get("schema", True), example)
        return len(examples)

    def media(said):
        if isinstance(said, dict):
            for kind, inside in (said.get("content") or {}).items():
                yield kind, inside
        values = said.values() if isinstance(said, dict) else said if isinstance(said, list) else []
        for value in values:
            yield from media(value)

    judged = sum(all_of(kind, one) for kind, one in media(tightened))
    assert judged > 20, "the description has examples"


def test_who_may_not_and_who_asks_too_often_was_told_so():
    assert not TOKENS or {401, 403, 429} <= SEEN, SEEN
