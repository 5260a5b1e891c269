//! Addresses of views, and the range of frames that they mean at this moment.

use crate::position::Frame;
use crate::spec::Spec;
use crate::tail::Tail;
use crate::time::{Moment, WallTime};
use crate::timeline::{Located, Timeline};
use std::time::Duration;

/// Which part of a recording is asked for. The whole, if nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewAddress {
    /// `pos` or `from`: where it starts. The first frame, if absent.
    pub from: Option<Moment>,
    /// `to`: where it ends. As far as the recording goes, if absent.
    pub to: Option<Moment>,
}

/// Where a view ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Where the recording ends.
    Open,
    /// Before this frame, which may not be recorded yet.
    At(Frame),
    /// Before the first frame of this time of day, which has not come yet.
    AtTime(WallTime),
}

/// A range of frames of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The first frame.
    pub first: Frame,
    /// Where it ends.
    pub end: End,
}

/// Why an address means no frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// `to` is not after `from`.
    #[error("the view ends at {to}, which is not after its start at {from}")]
    Reversed {
        /// Start as given.
        from: Moment,
        /// End as given.
        to: Moment,
    },
    /// Starts after the end of a finished recording.
    #[error("the view starts at {from}, but the recording ended after {recorded:?}")]
    PastEnd {
        /// Start as given.
        from: Moment,
        /// Length of the recording.
        recorded: Duration,
    },
    /// Starts after the live edge of a growing recording.
    #[error("the view starts at {from}; so far {recorded:?} are recorded")]
    NotYet {
        /// Start as given.
        from: Moment,
        /// Length so far.
        recorded: Duration,
        /// How long to wait, as far as one can tell.
        wait: Duration,
    },
    /// Everything in it lies in a gap, or before the recording.
    #[error("nothing was recorded from {from} to {to}")]
    Empty {
        /// Start as given.
        from: Moment,
        /// End as given.
        to: Moment,
    },
}

impl ViewAddress {
    /// The view that this address means, given how far the recording goes now.
    ///
    /// The first frame of a view, and an end once passed, never change as the recording grows. A start up to `horizon`
    /// past the live edge is granted: its frames are about to come.
    pub fn resolve(self, spec: Spec, timeline: &Timeline, tail: &Tail, horizon: Duration) -> Result<View, ViewError> {
        let start = Moment::Position(Duration::ZERO);
        if let (from, Some(to)) = (self.from.unwrap_or(start), self.to)
            && comparable(from, to)
            && to <= from
        {
            return Err(ViewError::Reversed { from, to });
        }
        let first = match self.from {
            None => Frame::ZERO,
            Some(from) => first_frame(from, spec, timeline, tail, horizon)?,
        };
        let end = match self.to {
            None => End::Open,
            Some(Moment::Position(d)) => End::At(Frame::ZERO + spec.frames(d)),
            Some(Moment::TimeOfDay(t)) => match timeline.frame_at(t, tail.end) {
                Located::At(frame) => End::At(frame),
                Located::Beyond => End::AtTime(t),
            },
        };
        match (end, self.to) {
            (End::At(frame), Some(to)) if frame <= first => {
                Err(ViewError::Empty { from: self.from.unwrap_or(start), to })
            }
            _ => Ok(View { first, end }),
        }
    }
}

const fn comparable(a: Moment, b: Moment) -> bool {
    matches!((a, b), (Moment::Position(_), Moment::Position(_)) | (Moment::TimeOfDay(_), Moment::TimeOfDay(_)))
}

fn first_frame(
    from: Moment,
    spec: Spec,
    timeline: &Timeline,
    tail: &Tail,
    horizon: Duration,
) -> Result<Frame, ViewError> {
    let recorded = spec.duration(tail.end.since(Frame::ZERO));
    let (frame, wait) = match from {
        Moment::Position(d) => (Frame::ZERO + spec.frames(d), d.saturating_sub(recorded)),
        Moment::TimeOfDay(t) => match timeline.frame_at(t, tail.end) {
            Located::At(frame) => return Ok(frame),
            // Past the edge a time of day is not yet a frame: a gap may come first.
            Located::Beyond => (tail.end, timeline.time_of(tail.end).map_or(Duration::ZERO, |edge| t.since(edge))),
        },
    };
    match (frame < tail.end, tail.is_sealed(), from) {
        (true, ..) => Ok(frame),
        (false, true, _) => Err(ViewError::PastEnd { from, recorded }),
        (false, false, Moment::Position(_)) if wait <= horizon => Ok(frame),
        (false, false, Moment::TimeOfDay(_)) if wait.is_zero() => Ok(frame),
        (false, false, _) => Err(ViewError::NotYet { from, recorded, wait }),
    }
}

impl View {
    /// The whole of a recording.
    pub const WHOLE: Self = Self { first: Frame::ZERO, end: End::Open };

    /// The last frame plus one, if it is known: the view's own end once reached, or that of a sealed recording.
    pub fn known_end(&self, timeline: &Timeline, tail: &Tail) -> Option<Frame> {
        let own = match self.end {
            End::Open => None,
            End::At(frame) => Some(frame),
            End::AtTime(time) => match timeline.frame_at(time, tail.end) {
                Located::At(frame) => Some(frame),
                Located::Beyond => None,
            },
        };
        match own {
            Some(frame) if frame <= tail.end => Some(frame.max(self.first)),
            _ if tail.is_sealed() => Some(tail.end.max(self.first)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{Durable, Generation};
    use crate::spec::SampleFormat;
    use crate::timeline::{Anchor, Entry};

    const HORIZON: Duration = Duration::from_secs(10);

    fn resolve(from: Option<&str>, to: Option<&str>, sealed: bool) -> Result<View, ViewError> {
        let (spec, timeline, tail) = minute(sealed);
        let parse = |s: &str| s.parse().unwrap();
        ViewAddress { from: from.map(parse), to: to.map(parse) }.resolve(spec, &timeline, &tail, HORIZON)
    }

    /// One minute of 8 kHz from 12:00:00 UTC.
    fn minute(sealed: bool) -> (Spec, Timeline, Tail) {
        let spec = Spec::new(SampleFormat::S16, 8_000, 1).unwrap();
        let mut timeline = Timeline::new(spec);
        timeline
            .push(Entry::Anchor(Anchor { frame: Frame::ZERO, time: "2026-11-20T12:00:00Z".parse().unwrap() }))
            .unwrap();
        let end = Durable(Frame::new(60 * 8_000));
        let tail = if sealed { Tail::sealed(end, None, Generation(1)) } else { Tail::open(end, Generation(1)) };
        (spec, timeline, tail)
    }

    fn view(first: u64, end: End) -> Result<View, ViewError> {
        Ok(View { first: Frame::new(first * 8_000), end })
    }

    #[test]
    fn addresses() {
        let sec = |n: u64| End::At(Frame::new(n * 8_000));
        for sealed in [false, true] {
            assert_eq!(resolve(None, None, sealed), Ok(View::WHOLE));
            assert_eq!(resolve(Some("10"), None, sealed), view(10, End::Open));
            assert_eq!(resolve(Some("10"), Some("20"), sealed), view(10, sec(20)));
            assert_eq!(resolve(Some("2026-11-20T12:00:10Z"), Some("20"), sealed), view(10, sec(20)));
            assert_eq!(resolve(Some("2026-11-20T11:00:00Z"), Some("20"), sealed), view(0, sec(20)));
            assert!(matches!(resolve(Some("20"), Some("10"), sealed), Err(ViewError::Reversed { .. })));
            assert!(matches!(resolve(Some("20"), Some("20"), sealed), Err(ViewError::Reversed { .. })));
            assert!(matches!(resolve(None, Some("0"), sealed), Err(ViewError::Reversed { .. })));
            assert!(matches!(resolve(Some("20"), Some("2026-11-20T12:00:10Z"), sealed), Err(ViewError::Empty { .. })));
            assert!(matches!(resolve(None, Some("2026-11-20T11:00:00Z"), sealed), Err(ViewError::Empty { .. })));
        }
        assert_eq!(resolve(Some("65"), None, false), view(65, End::Open), "about to come");
        assert!(matches!(resolve(Some("65"), None, true), Err(ViewError::PastEnd { .. })));
        assert!(
            matches!(resolve(Some("100"), None, false), Err(ViewError::NotYet { wait, .. }) if wait == Duration::from_secs(40))
        );
        assert!(matches!(resolve(Some("2026-11-20T12:01:30Z"), None, false), Err(ViewError::NotYet { .. })));
        assert_eq!(resolve(Some("10"), Some("1000"), false), view(10, sec(1000)), "grows until it is reached");
    }

    #[test]
    fn the_end_of_a_view_is_known_when_nothing_can_move_it() {
        let (spec, timeline, open) = minute(false);
        let (.., sealed) = minute(true);
        let end = |to: Option<&str>, tail: &Tail| {
            let address = ViewAddress { from: None, to: to.map(|t| t.parse().unwrap()) };
            let view = address.resolve(spec, &timeline, &open, HORIZON).unwrap();
            view.known_end(&timeline, tail).map(|f| f.get() / 8_000)
        };
        assert_eq!(end(None, &open), None);
        assert_eq!(end(None, &sealed), Some(60));
        assert_eq!(end(Some("10"), &open), Some(10));
        assert_eq!(end(Some("90"), &open), None);
        assert_eq!(end(Some("90"), &sealed), Some(60), "sealed before it was reached");
        assert_eq!(end(Some("2026-11-20T12:01:30Z"), &open), None);
        assert_eq!(end(Some("2026-11-20T12:01:30Z"), &sealed), Some(60));
    }
}
