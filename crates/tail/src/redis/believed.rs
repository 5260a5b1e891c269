//! Which recorder's word counts.

use livetape_audio::{Generation, Tail};

/// Whose tails are taken over. Several recorders may use one Redis, and some of them publish the same recordings: those
/// that run on copies of one data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Believed {
    /// Until it is known which recorder is followed.
    Nobody,
    /// Every recorder.
    Anybody,
    /// This run of a recorder.
    Run(Generation),
}

impl Believed {
    /// Whether this tail is taken over.
    pub(super) fn takes(self, tail: &Tail) -> bool {
        match self {
            Self::Nobody => false,
            Self::Anybody => true,
            Self::Run(generation) => tail.generation == generation,
        }
    }
}
