//! How far a recording goes, and whether it still grows.

use crate::name::RecordingId;
use crate::position::{Durable, Frame, Generation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a recording still grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// More frames may come.
    Open,
    /// Finished: `end` is final.
    Sealed,
}

/// Why a recording was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SealReason {
    /// The source said that it has ended.
    SourceEnded,
    /// The source did not come back within the resume window.
    SourceLost,
    /// Midnight came after the configured length.
    Rolled,
    /// The recording came near the largest size of 2^39 bytes.
    SizeLimit,
    /// The source came back with another spec.
    SpecChanged,
    /// An operator asked for it.
    Operator,
}

impl SealReason {
    /// Every reason.
    pub const ALL: [Self; 6] =
        [Self::SourceEnded, Self::SourceLost, Self::Rolled, Self::SizeLimit, Self::SpecChanged, Self::Operator];

    /// Name as in JSON and on disk.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SourceEnded => "source_ended",
            Self::SourceLost => "source_lost",
            Self::Rolled => "rolled",
            Self::SizeLimit => "size_limit",
            Self::SpecChanged => "spec_changed",
            Self::Operator => "operator",
        }
    }
}

/// How far a recording goes. Everything before `end` is durable and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Exclusive end of what may be heard.
    pub end: Frame,
    /// Whether more may come.
    pub state: State,
    /// The recording that goes on where this one was sealed, if one does.
    pub next: Option<RecordingId>,
    /// The run of the recorder that says so.
    pub generation: Generation,
}

impl Tail {
    /// A growing recording of which `durable` may be heard.
    pub const fn open(durable: Durable, generation: Generation) -> Self {
        Self { end: durable.0, state: State::Open, next: None, generation }
    }
    /// A finished recording.
    pub const fn sealed(durable: Durable, next: Option<RecordingId>, generation: Generation) -> Self {
        Self { end: durable.0, state: State::Sealed, next, generation }
    }
    /// Whether the end is final.
    pub const fn is_sealed(&self) -> bool {
        matches!(self.state, State::Sealed)
    }
    /// Whether `newer` may replace `self`: a later run of the recorder may say anything that does not take
    /// back what was heard; the same run never goes backwards and never re-opens.
    pub fn may_become(&self, newer: &Self) -> bool {
        if self.end > newer.end || newer.generation < self.generation {
            return false;
        }
        !self.is_sealed() || newer.is_sealed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_only_grows() {
        let at = |n| Durable(Frame::new(n));
        let (one, two) = (Generation(1), Generation(2));
        let open = Tail::open(at(5), one);
        assert!(open.may_become(&Tail::open(at(5), one)));
        assert!(open.may_become(&Tail::open(at(9), two)));
        assert!(open.may_become(&Tail::sealed(at(5), None, one)));
        assert!(!open.may_become(&Tail::open(at(4), two)), "heard bytes cannot be taken back");
        assert!(!Tail::open(at(5), two).may_become(&Tail::open(at(9), one)), "an old recorder is not heard");
        assert!(!Tail::sealed(at(5), None, one).may_become(&Tail::open(at(9), two)), "sealed is final");
    }
}
