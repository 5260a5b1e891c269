//! What a source plays that has a list of it, what comes next, and that somebody wants it to skip: between the source and its
//! connection to the recorder. Not here: why somebody may.

use livetape_audio::Title;
use tokio::sync::watch;

/// Most titles that are told of what comes next.
pub(crate) const UPCOMING: usize = 16;

/// What plays and what comes next, as far as is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) playing: Title,
    pub(crate) upcoming: Vec<Title>,
}

/// Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    program: watch::Sender<Program>,
    /// How often somebody has wanted to skip.
    skips: watch::Sender<u64>,
}

impl Desk {
    /// The source plays something else, or something else comes next.
    pub(crate) fn show(&self, program: Program) {
        self.program.send_if_modified(|shown| std::mem::replace(shown, program) != *shown);
    }

    /// Follows what the source shows.
    pub(crate) fn program(&self) -> watch::Receiver<Program> {
        self.program.subscribe()
    }

    /// The source is to leave what it plays.
    pub(crate) fn skip(&self) {
        self.skips.send_modify(|skips| *skips = skips.saturating_add(1));
    }

    /// Follows how often it was to.
    pub(crate) fn skips(&self) -> watch::Receiver<u64> {
        self.skips.subscribe()
    }
}
