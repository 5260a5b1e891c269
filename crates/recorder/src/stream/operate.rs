//! What those who keep recordings ask of the open one. Between two messages of its source, and with nothing pending.

use super::Stream;
use crate::open_tape::{Next, OpenTape};
use crate::tape::{self, blocking};
use crate::wish::{Done, MAX_DEEDS, MAX_MARKS, Refused, Wish};
use livetape_audio::{Entry, Event, EventKind, Frame, FrameCount, Mark, RecordingId, SealReason, Title};
use livetape_store::{Edit, StoreError, TapeWriter};
use std::sync::Arc;

type Outcome = anyhow::Result<Result<Done, Refused>>;

impl Stream {
    /// Does what is asked of the open recording; of this one, if one is named.
    pub(super) async fn operate(&mut self, of: Option<RecordingId>, wish: Wish) -> Outcome {
        self.settle().await?;
        if self.open.as_ref().is_some_and(|open| open.sealing.is_some())
            && let Err(error) = self.seal().await?
        {
            return Ok(Err(error.into()));
        }
        let Some(open) = &self.open else {
            return if matches!(wish, Wish::BeginAnew) {
                self.begin_waiting().await
            } else {
                Ok(Err(Refused::NotOpen))
            };
        };
        if of.is_some_and(|id| id != open.recording.id) {
            return Ok(Err(Refused::NotOpen));
        }
        let pushing = open.call.is_some();
        match wish {
            Wish::Seal { idle: true } if pushing => Ok(Err(Refused::Busy)),
            Wish::Seal { .. } if self.is_on_demand() => self.end_by_hand().await,
            Wish::Seal { .. } if !pushing => self.cut(false).await,
            Wish::Seal { .. } | Wish::BeginAnew => self.cut(true).await,
            Wish::Edit(edit) => self.edit(edit).await,
            Wish::Mark { frame, text } => self.mark(frame, text).await,
            Wish::Title(title) => {
                if let Some(open) = &mut self.open {
                    open.ingest.entitle(title);
                }
                Ok(Ok(Done::Noted))
            }
            Wish::Note { kind, detail } => {
                let event = Event { frame: open.ingest.next(), time: tape::now(), kind, detail };
                if open.tape.as_ref().is_none_or(|tape| is_news(&event, tape.timeline().entries())) {
                    open.pending.note(Entry::Event(event));
                }
                Ok(Ok(Done::Noted))
            }
        }
    }

    /// Seals the open recording at the frame at which it stands.
    async fn cut(&mut self, goes_on: bool) -> Outcome {
        let Some(open) = &self.open else { return Ok(Err(Refused::NotOpen)) };
        let id = open.recording.id;
        tracing::info!(stream = %self.name, recording = %id, goes_on, "sealed by hand");
        if open.call.is_some() {
            if !self.roll(SealReason::Operator).await? {
                return Ok(Err(Refused::Unavailable("the recording could not be sealed".into())));
            }
        } else {
            let mut ingest = open.ingest.clone();
            let next = goes_on.then(|| Next::Wanted(Box::new(open.opening()), ingest.epoch()));
            if let Err(error) = self.end_recording(SealReason::Operator, next).await? {
                return Ok(Err(error.into()));
            }
            ingest.rolled();
            if let Some(open) = &mut self.open {
                open.ingest = ingest;
            }
        }
        let sealed = self.shared.archive.get(id).ok_or(Refused::Gone(id));
        let next = self.open.as_ref().and_then(|open| self.shared.archive.get(open.recording.id));
        Ok(sealed.map(|sealed| Done::Sealed(sealed, next)))
    }

    async fn edit(&mut self, edit: Edit) -> Outcome {
        let Some((open, writer)) = self.open.as_mut().and_then(OpenTape::at_home) else {
            return Ok(Err(Refused::NotOpen));
        };
        let (writer, outcome) = blocking(writer, move |tape| tape.edit(edit)).await?;
        open.recording = writer.recording().clone();
        open.tape = Some(writer);
        if let Err(error) = outcome {
            return Ok(Err(error.into()));
        }
        self.shared.archive.insert(open.recording.clone());
        Ok(Ok(Done::Edited(Arc::new(open.recording.clone()))))
    }

    async fn mark(&mut self, frame: Option<Frame>, text: Title) -> Outcome {
        let Some((open, writer)) = self.open.as_mut().and_then(OpenTape::at_home) else {
            return Ok(Err(Refused::NotOpen));
        };
        let end = writer.durable().end();
        let frame = frame.unwrap_or(end.back(FrameCount::new(1)));
        let enough = marks(writer.timeline().entries()) >= MAX_MARKS;
        if enough || frame > end {
            open.tape = Some(writer);
            return Ok(Err(if enough { Refused::TooManyMarks } else { Refused::Ahead { at: frame, end } }));
        }
        let (writer, outcome) = blocking(writer, move |tape| write(tape, Entry::Mark(Mark { frame, text }))).await?;
        open.tape = Some(writer);
        if let Err(error) = outcome {
            return Ok(Err(error.into()));
        }
        self.shared.archive.changes.touch(open.recording.id);
        Ok(Ok(Done::Marked(frame)))
    }
}

/// How many marks there are.
pub(crate) fn marks(entries: &[Entry]) -> usize {
    entries.iter().filter(|entry| matches!(entry, Entry::Mark(_))).count()
}

/// Whether an event is to be said. That the same one publishes again is not, and there is a most of what people do.
pub(crate) fn is_news(event: &Event, entries: &[Entry]) -> bool {
    let deeds = entries.iter().filter_map(|entry| match entry {
        Entry::Event(event) if matches!(event.kind, EventKind::Published | EventKind::Operated) => Some(event),
        _ => None,
    });
    match event.kind {
        EventKind::Published => {
            let before = deeds.clone().rfind(|deed| deed.kind == EventKind::Published);
            deeds.count() < MAX_DEEDS && before.is_none_or(|before| before.detail != event.detail)
        }
        EventKind::Operated => deeds.count() < MAX_DEEDS,
        EventKind::ClockStep | EventKind::Recovered | EventKind::Retention => true,
    }
}

/// Puts an entry on the timeline for good, or not at all.
fn write(tape: &mut TapeWriter, entry: Entry) -> Result<(), StoreError> {
    let noted = tape.note(entry).and_then(|()| tape.sync());
    if noted.is_err()
        && let Err(worse) = tape.rewind()
    {
        tracing::error!(error = %worse, "could not go back to the durable end");
    }
    noted.map(|_| ())
}
