//! Space that retention has made, until it is seen.
//!
//! What is removed need not be free at once: some file systems free it later, whoever has a file open keeps it there, and so
//! does a snapshot, for good. Counted as free for a while, it is not made once more meanwhile; and where next to nothing of it
//! has come by then, removing more would only lose recordings, so nothing more is removed for this reason until space has come from
//! somewhere. What recordings have written since counts as seen: it has found its place. A state machine; without IO, without a clock.

use std::time::Duration;
use tokio::time::Instant;

/// How long what was removed counts as free without being seen.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of what was removed such a part at least has to come: file systems compress, and others take what is free.
const PART: u64 = 8;

/// What is known of the disk at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Free bytes.
    pub(super) free: u64,
    /// Bytes of audio that were made durable, since whenever.
    pub(super) written: u64,
}

impl Seen {
    const fn sum(self) -> u64 {
        self.free.saturating_add(self.written)
    }
}

/// How the space that was made gets on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Awaited {
    /// It is there.
    #[default]
    Nothing,
    /// So many bytes were removed. Free and written were `before` together, and `most` since.
    Bytes { bytes: u64, before: u64, most: u64, until: Instant },
    /// It has not come. Removing is worth it again when `step` bytes more are free than the `least` since.
    InVain { step: u64, least: u64 },
}

impl Awaited {
    /// What may be counted as free; nothing, if removing frees nothing.
    pub(super) fn look(&mut self, seen: Seen, now: Instant) -> Option<u64> {
        match self {
            Self::Nothing => {}
            Self::Bytes { bytes, before, most, until } => {
                *most = seen.sum().max(*most);
                let come = most.saturating_sub(*before);
                let missing = bytes.saturating_sub(come);
                if missing > 0 && now < *until {
                    return Some(seen.free.saturating_add(missing));
                }
                *self = match come < *bytes / PART {
                    true => Self::InVain { step: (missing / PART).max(1), least: seen.free },
                    false => Self::Nothing,
                };
            }
            Self::InVain { step, least } => {
                *least = seen.free.min(*least);
                if seen.free >= least.saturating_add(*step) {
                    *self = Self::Nothing;
                }
            }
        }
        (!self.is_in_vain()).then_some(seen.free)
    }

    /// So many bytes were removed; `seen` is from before that.
    pub(super) fn removed(&mut self, removed: u64, seen: Seen, now: Instant) {
        match self {
            _ if removed == 0 => {}
            Self::Bytes { bytes, .. } => *bytes = bytes.saturating_add(removed),
            Self::Nothing => {
                let before = seen.sum();
                *self = Self::Bytes { bytes: removed, before, most: before, until: now + PATIENCE };
            }
            // What went for another reason; whether that frees anything is seen.
            Self::InVain { .. } => {}
        }
    }

    const fn is_in_vain(self) -> bool {
        matches!(self, Self::InVain { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(free: u64, written: u64) -> Seen {
        Seen { free, written }
    }

    /// A thousand bytes were removed where a hundred were free.
    fn removed() -> (Awaited, Instant) {
        let (mut awaited, now) = (Awaited::default(), Instant::now());
        assert_eq!(awaited.look(at(100, 7), now), Some(100));
        awaited.removed(1000, at(100, 7), now);
        (awaited, now)
    }

    #[test]
    fn what_comes_at_once_is_counted_once() {
        let (mut awaited, now) = removed();
        assert_eq!(awaited.look(at(1100, 7), now), Some(1100));
        assert_eq!(awaited, Awaited::Nothing);
        assert_eq!(awaited.look(at(50, 7), now), Some(50), "what others take afterwards is gone");
    }

    #[test]
    fn what_comes_late_counts_until_it_is_there() {
        let (mut awaited, now) = removed();
        assert_eq!(awaited.look(at(100, 7), now), Some(1100));
        assert_eq!(awaited.look(at(700, 7), now + PATIENCE / 2), Some(1100));
        assert_eq!(awaited.look(at(400, 7), now + PATIENCE / 2), Some(800), "others have taken 300 of it");
        assert_eq!(awaited.look(at(800, 7), now + PATIENCE / 2), Some(1100));
        assert_eq!(awaited.look(at(800, 7), now + PATIENCE), Some(800), "most has come, so the next one may go");
        assert_eq!(awaited, Awaited::Nothing);
    }

    #[test]
    fn what_recordings_take_at_once_has_come() {
        let (mut awaited, now) = removed();
        assert_eq!(awaited.look(at(100, 507), now), Some(600));
        assert_eq!(awaited.look(at(100, 1007), now), Some(100));
        assert_eq!(awaited, Awaited::Nothing);
    }

    #[test]
    fn more_that_is_removed_meanwhile_gets_no_more_time() {
        let (mut awaited, now) = removed();
        awaited.removed(500, at(100, 7), now + PATIENCE / 2);
        assert_eq!(awaited.look(at(100, 7), now + PATIENCE / 2), Some(1600));
        assert_eq!(awaited.look(at(100, 7), now + PATIENCE), None);
    }

    #[test]
    fn what_never_comes_ends_it_until_there_is_more_room() {
        let (mut awaited, now) = removed();
        assert_eq!(awaited.look(at(90, 17), now + PATIENCE), None);
        assert_eq!(awaited.look(at(100, 17), now + 100 * PATIENCE), None, "a little goes up and down always");
        assert_eq!(awaited.look(at(20, 90), now + 100 * PATIENCE), None);
        assert_eq!(awaited.look(at(144, 90), now + 100 * PATIENCE), None);
        assert_eq!(awaited.look(at(145, 90), now + 100 * PATIENCE), Some(145), "an eighth of it");
        assert_eq!(awaited, Awaited::Nothing);
    }

    #[test]
    fn what_goes_for_another_reason_is_no_reason_to_go_on() {
        let (mut awaited, now) = removed();
        assert_eq!(awaited.look(at(100, 7), now + PATIENCE), None);
        awaited.removed(400, at(100, 7), now + PATIENCE);
        assert_eq!(awaited.look(at(100, 7), now + PATIENCE), None);
        assert_eq!(awaited.look(at(500, 7), now + PATIENCE), Some(500), "but that it freed something is");
    }
}
