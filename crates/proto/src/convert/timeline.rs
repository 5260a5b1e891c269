//! Entries of timelines.

use super::opening::instance;
use crate::v1::entry::What;
use crate::{InvalidMessage, v1};
use livetape_audio::{
    Anchor, Entry, Event, EventKind, Frame, FrameCount, Gap, Mark, SourceChange, TitleChange, WallTime,
};

impl From<Entry> for v1::Entry {
    fn from(entry: Entry) -> Self {
        let frame = entry.frame().get();
        let what = match entry {
            Entry::Anchor(anchor) => What::AnchorUnixNs(anchor.time.unix_nanos()),
            Entry::Gap(gap) => What::Gap(v1::TimelineGap {
                lost_frames: gap.lost.map(FrameCount::get),
                from_unix_ns: gap.from.unix_nanos(),
                to_unix_ns: gap.to.unix_nanos(),
                reason: v1::GapReason::from(gap.reason).into(),
            }),
            Entry::Source(source) => {
                What::Source(v1::TimelineSource { name: source.source.into(), instance: source.instance.0.to_vec() })
            }
            Entry::Title(title) => What::Title(title.title.into()),
            Entry::Mark(mark) => What::Mark(mark.text.into()),
            Entry::Event(event) => What::Event(v1::TimelineEvent {
                at_unix_ns: event.time.unix_nanos(),
                kind: event.kind.as_str().to_owned(),
                detail: event.detail,
            }),
        };
        Self { frame, what: Some(what) }
    }
}

impl TryFrom<v1::Entry> for Entry {
    type Error = InvalidMessage;
    /// An entry of a kind that only a later version knows is refused; it says nothing that this one could use.
    fn try_from(entry: v1::Entry) -> Result<Self, InvalidMessage> {
        let frame = Frame::new(entry.frame);
        let time = WallTime::from_unix_nanos;
        Ok(match entry.what.ok_or(InvalidMessage::Missing("entry.what"))? {
            What::AnchorUnixNs(at) => Self::Anchor(Anchor { frame, time: time(at) }),
            What::Gap(gap) => Self::Gap(Gap {
                at: frame,
                lost: gap.lost_frames.map(FrameCount::new),
                from: time(gap.from_unix_ns),
                to: time(gap.to_unix_ns),
                reason: gap.reason().into(),
            }),
            What::Source(source) => Self::Source(SourceChange {
                frame,
                source: source.name.parse()?,
                instance: instance(&source.instance)?,
            }),
            What::Title(title) => Self::Title(TitleChange { frame, title: title.parse()? }),
            What::Mark(text) => Self::Mark(Mark { frame, text: text.parse()? }),
            What::Event(event) => Self::Event(Event {
                frame,
                time: time(event.at_unix_ns),
                kind: EventKind::from_name(&event.kind).ok_or_else(|| unknown("event.kind", &event.kind))?,
                detail: event.detail,
            }),
        })
    }
}

fn unknown(what: &'static str, value: &str) -> InvalidMessage {
    InvalidMessage::Unknown { what, value: value.chars().take(64).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::{GapReason, Instance};

    #[test]
    fn there_and_back() {
        let (frame, time) = (Frame::new(48_000), WallTime::from_unix_nanos(1_763_649_000_000_000_001));
        let gap = |reason| Gap { at: frame, lost: Some(FrameCount::new(9)), from: time, to: time, reason };
        let event = |kind| Event { frame, time, kind, detail: "said".into() };
        let mut entries = vec![
            Entry::Anchor(Anchor { frame, time }),
            Entry::Source(SourceChange { frame, source: "test".parse().unwrap(), instance: Instance([7; 16]) }),
            Entry::Title(TitleChange { frame, title: "now".parse().unwrap() }),
            Entry::Mark(Mark { frame, text: "here".parse().unwrap() }),
        ];
        entries.extend(GapReason::ALL.map(|reason| Entry::Gap(gap(reason))));
        entries.extend(EventKind::ALL.map(|kind| Entry::Event(event(kind))));
        for entry in entries {
            assert_eq!(Entry::try_from(v1::Entry::from(entry.clone())), Ok(entry));
        }
    }

    #[test]
    fn what_a_later_version_says_is_refused_by_name() {
        let event = v1::TimelineEvent { kind: "eclipse".into(), ..Default::default() };
        let refused = |what| Entry::try_from(v1::Entry { frame: 1, what }).unwrap_err().to_string();
        assert!(refused(Some(What::Event(event))).contains("eclipse"));
        assert!(refused(None).contains("entry.what"));
    }
}
