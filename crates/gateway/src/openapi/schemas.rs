//! Schemas of what is sent and taken, made from the types themselves.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

pub(super) const STREAM: &str = "#/components/schemas/StreamName";
pub(super) const RECORDING: &str = "#/components/schemas/RecordingId";
pub(super) const TIME: &str = "#/components/schemas/WallTime";

/// Of a recording, in examples.
pub(super) const AN_ID: &str = "01932c07-209c-7a3e-8c1f-5d2e9b7a4f10";

/// Collects what is referred to.
pub(super) struct Schemas {
    sent: SchemaGenerator,
    taken: SchemaGenerator,
}

impl Default for Schemas {
    fn default() -> Self {
        // JSON Schema 2020-12, which OpenAPI 3.1 is made of.
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Self { sent: settings().for_serialize().into_generator(), taken: settings().for_deserialize().into_generator() }
    }
}

impl Schemas {
    /// Of what is sent.
    pub(super) fn sent<T: JsonSchema>(&mut self) -> Schema {
        self.sent.subschema_for::<T>()
    }

    /// Of what is taken.
    pub(super) fn taken<T: JsonSchema>(&mut self) -> Schema {
        self.taken.subschema_for::<T>()
    }

    /// All that was referred to.
    pub(super) fn finish(mut self) -> Map<String, Value> {
        let mut all = self.taken.take_definitions(true);
        all.extend(self.sent.take_definitions(true));
        all
    }
}
