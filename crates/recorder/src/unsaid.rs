//! What happened to streams of which there is no recording any more, until there is a timeline to say it on: that of the
//! next one. Kept in memory, one text for each stream: what comes after the end of this process stands in its log alone.

use livetape_audio::{Event, EventKind, Frame, StreamName, WallTime};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Most streams of which something is kept.
const MOST: usize = 4_096;

/// One event for each stream: the newest of retention or an operator.
#[derive(Debug, Default)]
pub(crate) struct Unsaid(Mutex<BTreeMap<StreamName, (EventKind, String, WallTime)>>);

impl Unsaid {
    /// Keeps it, if there is room, instead of what was kept of the stream before.
    pub(crate) fn keep(&self, stream: &StreamName, kind: EventKind, detail: String, time: WallTime) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MOST || kept.contains_key(stream) {
            kept.insert(stream.clone(), (kind, detail, time));
        }
    }

    /// What is to be said at the beginning of a stream's next recording.
    pub(crate) fn take(&self, stream: &StreamName) -> Option<Event> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(stream);
        taken.map(|(kind, detail, time)| Event { frame: Frame::ZERO, time, kind, detail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_stream_once_and_not_of_any_number() {
        let unsaid = Unsaid::default();
        let name = |n: usize| format!("s{n}").parse::<StreamName>().unwrap();
        for n in 0..MOST + 1 {
            unsaid.keep(&name(n), EventKind::Retention, "first".into(), WallTime::default());
        }
        unsaid.keep(&name(7), EventKind::Operated, "second".into(), WallTime::default());
        let said = |n| unsaid.take(&name(n)).map(|event| (event.kind, event.detail));
        assert_eq!(said(7), Some((EventKind::Operated, "second".into())));
        assert_eq!((said(7), said(MOST)), (None, None));
        assert_eq!(said(8), Some((EventKind::Retention, "first".into())));
    }
}
