//! The description of what this gateway answers, as OpenAPI 3.1, at `/openapi.json`; the page at `/openapi` shows it.
//!
//! What it says comes from what is used: addresses and rights from the table of endpoints, parameters from the lists by which
//! queries are read, schemas from the types that are sent and taken. Only here: what is said about each address
//! (`operations`), and which refusals it may get (`answers`). An address without a description fails a test; an answer that is
//! not described fails another one, which asks a real gateway.

mod answers;
mod operations;
mod schemas;

use crate::page;
use crate::query::{Parameter, Shape};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use livetape_access::{ENDPOINTS, Endpoint, Needs, Protocol};
use operations::Operation;
use schemas::{RECORDING, STREAM, Schemas, TIME};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());

const ABOUT: &str = "A live-audio recorder that can be rewound while it records. Every address of audio is a view: a range of \
    frames of a recording, whose end may not be known yet. Numbers in addresses are recorded seconds; times of day are \
    RFC 3339 with an offset. Every refusal says what was wrong and what to do, as JSON. Parameters that an address does not \
    list are refused. How players are told a length that is not known yet, and what each `Range` gets, is told at length \
    in docs/http.md.";

/// `GET /openapi.json`.
pub(crate) async fn serve() -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], DOCUMENT.as_str()).into_response()
}

fn document() -> Value {
    let mut schemas = Schemas::default();
    let said = operations::all(&mut schemas);
    let mut paths = Map::new();
    for row in ENDPOINTS.iter().filter(|row| row.protocol == Protocol::Http) {
        let Some(operation) = said.iter().find(|one| (one.method, one.path) == (row.method, row.path)) else {
            continue;
        };
        let item = paths.entry(row.path).or_insert_with(|| path_item(row.path));
        item[row.method.to_ascii_lowercase()] = described(operation, row);
        if row.method == "GET" {
            item["head"] = head(operation, row);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Livetape",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "This gateway." }],
        "tags": operations::TAGS.map(|(name, description)| json!({ "name": name, "description": description })),
        "security": [{}, { "bearer": [] }, { "basic": [] }, { "cookie": [] }, { "signature": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "responses": answers::components(),
            "headers": answers::headers(),
            "securitySchemes": proofs(),
        },
    })
}

fn proofs() -> Value {
    json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "A token or a JWT." },
        "basic": { "type": "http", "scheme": "basic", "description": "User and password; or any user, with a token as the password." },
        "cookie": {
            "type": "apiKey", "in": "cookie", "name": crate::gate::COOKIE, "description": "What `POST /session` gives to a browser.",
        },
        "signature": { "type": "apiKey", "in": "query", "name": "sign", "description": "The signature of a signed address." },
    })
}

/// What all operations of an address share.
fn path_item(path: &str) -> Value {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters: Vec<_> = names.map(|name| in_path(path, name)).collect();
    let preflight = json!({
        "summary": "What a browser may send from another origin's page",
        "tags": ["gateway"],
        "security": [],
        "responses": answers::preflight(),
    });
    json!({ "parameters": parameters, "options": preflight })
}

fn in_path(path: &str, name: &str) -> Value {
    let files = |names: Vec<String>| json!({ "type": "string", "enum": names });
    let (says, schema, example) = match name {
        "stream" => ("Name of a stream.", json!({ "$ref": STREAM }), json!("studio-a")),
        "id" => ("Id of a recording.", json!({ "$ref": RECORDING }), json!(schemas::AN_ID)),
        _ if path == page::MODULES_AT => {
            let names = page::MODULES.iter().map(|(name, _)| (*name).to_owned());
            ("A module of the page's script.", files(names.collect()), json!("app.js"))
        }
        _ if path.starts_with("/streams/") => {
            ("Live audio, wrapped.", files(crate::request::live_files()), json!("live.wav"))
        }
        _ => ("The recorded audio, wrapped.", files(crate::request::audio_files()), json!("audio.wav")),
    };
    json!({ "name": name, "in": "path", "required": true, "description": says, "schema": schema, "example": example })
}

fn in_query(parameter: &Parameter) -> Value {
    let Parameter { name, says, shape } = *parameter;
    let seconds = |max: Option<u64>| match max {
        Some(max) => json!({ "type": "number", "minimum": 0, "maximum": max }),
        None => json!({ "type": "number", "minimum": 0, "maximum": 9_999_999_999_u64 }),
    };
    let (schema, example) = match shape {
        Shape::Seconds { max } => (seconds(max), json!(3)),
        Shape::Moment => (json!({ "anyOf": [seconds(None), { "$ref": TIME }] }), json!("2026-11-20T14:30:00Z")),
        Shape::TimeOfDay => (json!({ "$ref": TIME }), json!("2026-11-20T14:30:00Z")),
        Shape::Number { min, max, default } => {
            let most = Some(max).filter(|max| *max < usize::MAX).unwrap_or(i64::MAX as usize);
            (json!({ "type": "integer", "minimum": min, "maximum": most, "default": default }), json!(default))
        }
        Shape::Stream => (json!({ "$ref": STREAM }), json!("studio-a")),
        Shape::Recording => (json!({ "$ref": RECORDING }), json!(schemas::AN_ID)),
        Shape::Word(words) => (json!({ "type": "string", "enum": words }), json!(words.first())),
        Shape::Text => (json!({ "type": "string" }), json!("2")),
    };
    json!({ "name": name, "in": "query", "description": says, "schema": schema, "example": example })
}

fn described(operation: &Operation, row: &Endpoint) -> Value {
    let mut answers = answers::refusals(operation, row);
    answers.extend(operation.answers.iter().map(|(status, answer)| (status.to_string(), answer.clone())));
    let headers = operation.request_headers.iter().map(|(name, says, examples)| {
        let examples: Map<_, _> =
            examples.iter().map(|example| ((*example).to_owned(), json!({ "value": example }))).collect();
        json!({ "name": name, "in": "header", "description": says, "schema": { "type": "string" }, "examples": examples })
    });
    let parameters: Vec<_> = operation.query.iter().map(in_query).chain(headers).collect();
    let mut said = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": format!("{}{}", operation.description, needs(row.needs)),
        "parameters": parameters,
        "responses": answers,
    });
    if row.needs == Needs::Nothing {
        said["security"] = json!([]);
    }
    if let Some(body) = &operation.body {
        said["requestBody"] = body.clone();
    }
    if operation.endless {
        said["x-endless"] = json!(true);
    }
    said
}

fn needs(needs: Needs) -> String {
    match needs {
        Needs::Nothing => String::new(),
        Needs::On(right) => format!(" Needs the right to {right} on the stream."),
        Needs::Any(right) => format!(" Tells of those streams only on which there is the right to {right}."),
    }
}

/// The same, without bodies.
fn head(operation: &Operation, row: &Endpoint) -> Value {
    let mut said = described(operation, row);
    said["operationId"] = json!(format!("{}Head", operation.id));
    said["summary"] = json!(format!("The head of: {}", operation.summary));
    if let Some(said) = said.as_object_mut() {
        said.remove("x-endless");
    }
    let components = answers::components();
    for (_, answer) in said["responses"].as_object_mut().into_iter().flatten() {
        let name = answer["$ref"].as_str().and_then(|text| text.rsplit('/').next());
        if let Some(whole) = name.map(|name| components[name].clone()) {
            *answer = whole;
        }
        if let Some(answer) = answer.as_object_mut() {
            answer.remove("content");
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_address_is_described() {
        let said = operations::all(&mut Schemas::default());
        let of = |method, path| said.iter().filter(|one| (one.method, one.path) == (method, path)).count();
        for row in ENDPOINTS.iter().filter(|row| row.protocol == Protocol::Http) {
            assert_eq!(of(row.method, row.path), 1, "openapi/operations.rs describes {} {}", row.method, row.path);
        }
        for one in &said {
            assert!(Endpoint::http(one.method, one.path).is_some(), "there is no {} {}", one.method, one.path);
            assert!(!one.answers.is_empty() && !one.summary.is_empty(), "{} {}", one.method, one.path);
        }
        assert_eq!(said.iter().map(|one| one.id).collect::<HashSet<_>>().len(), said.len(), "one id for each");
    }

    /// Every `$ref` in it.
    fn references<'a>(value: &'a Value, found: &mut HashSet<&'a str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(all) => all.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn what_it_points_to_is_there_and_nothing_is_there_for_nobody() {
        let document = document();
        let mut found = HashSet::new();
        references(&document, &mut found);
        for reference in &found {
            let place = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(place).is_some_and(|value| value != &Value::Null), "{reference} points nowhere");
        }
        for kind in ["schemas", "responses", "headers"] {
            for name in document["components"][kind].as_object().unwrap().keys() {
                assert!(found.contains(format!("#/components/{kind}/{name}").as_str()), "nobody uses {kind}/{name}");
            }
        }
    }

    #[test]
    fn every_body_has_an_example() {
        let document = document();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters") {
                for (status, answer) in operation["responses"].as_object().unwrap() {
                    let json = &answer["content"]["application/json"];
                    assert!(json.is_null() || !json["example"].is_null(), "{method} {path} {status} has no example");
                }
                let body = &operation["requestBody"]["content"]["application/json"];
                assert!(body.is_null() || !body["examples"].is_null(), "{method} {path}: the body has no example");
            }
        }
    }
}
