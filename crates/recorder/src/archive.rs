//! All recordings of the recorder, with a feed of what changes about them.

use crate::changes::Changes;
use livetape_audio::{RecordingId, StreamName};
use livetape_store::{Catalogue, Recording, StreamInfo};
use std::sync::Arc;

/// The catalogue, changed only through here.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    /// For reading.
    pub(crate) all: Arc<Catalogue>,
    /// What was added, changed, removed, or has got a mark.
    pub(crate) changes: Changes<RecordingId>,
    /// Of which streams something else is known now than before.
    pub(crate) stream_changes: Changes<StreamName>,
}

impl Archive {
    /// Adds a recording, or replaces what was known of it.
    pub(crate) fn insert(&self, recording: Recording) {
        let id = recording.id;
        self.all.insert(recording);
        self.changes.touch(id);
    }

    /// Forgets a recording. A stream that nobody uses is forgotten with its last one.
    pub(crate) fn remove(&self, id: RecordingId) {
        let stream = self.get(id).map(|recording| recording.stream.clone());
        self.all.remove(id);
        self.changes.touch(id);
        if let Some(stream) = stream {
            self.forget_unused(&stream);
        }
    }

    /// Takes in what is known of a stream besides its recordings.
    pub(crate) fn inform(&self, stream: &StreamName, info: StreamInfo) {
        if self.all.inform(stream, info) {
            self.stream_changes.touch(stream.clone());
        }
    }

    /// Forgets a stream that has neither recordings nor a source that waits.
    pub(crate) fn forget_unused(&self, stream: &StreamName) {
        if self.latest(stream).is_none() && !self.all.info(stream).waiting {
            self.inform(stream, StreamInfo::default());
        }
    }

    pub(crate) fn get(&self, id: RecordingId) -> Option<Arc<Recording>> {
        self.all.get(id)
    }

    pub(crate) fn latest(&self, stream: &StreamName) -> Option<Arc<Recording>> {
        self.all.latest(stream)
    }
}
