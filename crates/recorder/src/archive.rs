//! All recordings of the recorder, with a feed of what changes about them.

use crate::changes::Changes;
use livetape_audio::{RecordingId, StreamName};
use livetape_store::{Catalogue, Recording};
use std::sync::Arc;

/// The catalogue, changed only through here.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    /// For reading.
    pub(crate) all: Arc<Catalogue>,
    /// What was added, changed, removed, or has got a mark.
    pub(crate) changes: Changes,
}

impl Archive {
    /// Adds a recording, or replaces what was known of it.
    pub(crate) fn insert(&self, recording: Recording) {
        let id = recording.id;
        self.all.insert(recording);
        self.changes.touch(id);
    }

    /// Forgets a recording.
    pub(crate) fn remove(&self, id: RecordingId) {
        self.all.remove(id);
        self.changes.touch(id);
    }

    pub(crate) fn get(&self, id: RecordingId) -> Option<Arc<Recording>> {
        self.all.get(id)
    }

    pub(crate) fn latest(&self, stream: &StreamName) -> Option<Arc<Recording>> {
        self.all.latest(stream)
    }
}
