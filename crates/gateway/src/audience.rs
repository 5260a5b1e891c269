//! Who listens to what: how many bodies with audio of each stream are being sent. For people; limits and metrics count by
//! themselves.

use livetape_audio::StreamName;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts listeners.
#[derive(Clone, Debug, Default)]
pub(crate) struct Audience(Arc<Mutex<HashMap<StreamName, usize>>>);

/// While it lives, somebody listens.
#[derive(Debug)]
pub(crate) struct Attending(Audience, StreamName);

impl Audience {
    fn counts(&self) -> MutexGuard<'_, HashMap<StreamName, usize>> {
        // Nothing between taking the lock and giving it back can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody begins to listen.
    pub(crate) fn attend(&self, stream: &StreamName) -> Attending {
        *self.counts().entry(stream.clone()).or_default() += 1;
        Attending(self.clone(), stream.clone())
    }

    /// How many listen.
    pub(crate) fn of(&self, stream: &StreamName) -> usize {
        self.counts().get(stream).copied().unwrap_or(0)
    }
}

impl Drop for Attending {
    fn drop(&mut self) {
        let mut counts = self.0.counts();
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}
