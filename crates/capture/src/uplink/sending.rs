//! What is sent next: notes and audio in the order in which they were captured, and a gap for audio that was given up.

use super::{Held, Line, Missing, Note, Outgoing, Stretch, Titled, Uplink, Waited, Waiting};
use livetape_audio::{Epoch, Frame, GapReason};

impl Uplink {
    /// The next message, if the stream is open and there is one. Counts as sent from now on.
    pub fn next_to_send(&mut self) -> Option<Outgoing> {
        let line = self.line?;
        let epoch = line.epoch;
        let at = self.numbers.number(self.cursor);
        match self.notes.next_to_send(self.cursor) {
            Some(Note::Gap(Missing { frames, reason, .. })) => {
                return Some(Outgoing::Gap { epoch, at, frames, reason });
            }
            Some(Note::Title(Titled { title, .. })) => return Some(Outgoing::Title { epoch, at, title }),
            None => {}
        }
        if self.cursor < self.end {
            let Some((held, waited)) = self.audio().filter(|(held, _)| held.at == self.cursor) else {
                return Some(self.jump(epoch, at));
            };
            self.waited = waited;
            let bytes = usize::try_from(self.spec.bytes(line.most)).unwrap_or(usize::MAX);
            let mut chunk = held.chunk;
            chunk.pcm.truncate(bytes);
            self.cursor = self.cursor + chunk.frames(self.spec);
            return Some(Outgoing::Append { epoch, first: at, time: chunk.time, pcm: chunk.pcm });
        }
        (self.ending && !line.end_sent).then(|| {
            self.line = Some(Line { end_sent: true, ..line });
            Outgoing::End { epoch, at }
        })
    }

    /// The audio at the cursor, or the first after it.
    fn audio(&mut self) -> Option<(Held, Waited)> {
        let stored = self.shelf.as_mut().and_then(|shelf| shelf.store.read(self.cursor));
        stored.map(|held| (held, Waited::InStore)).or_else(|| {
            let first = self.memory.partition_point(|waiting| waiting.held.end(self.spec) <= self.cursor);
            let Waiting { held, since } = self.memory.get(first)?;
            Some((held.clone().from(self.cursor, self.spec), Waited::InMemory(*since)))
        })
    }

    /// Where the audio that was sent last has waited.
    pub const fn waited(&self) -> Waited {
        self.waited
    }

    /// Over audio that was given up, to what is there.
    fn jump(&mut self, epoch: Epoch, at: Frame) -> Outgoing {
        let to = self.audio().map_or(self.end, |(held, _)| held.at);
        let frames = Some(to.since(self.cursor));
        self.cursor = to;
        self.numbers.stretches.push(Stretch { from: to, number: at });
        self.save_numbers(None);
        Outgoing::Gap { epoch, at, frames, reason: GapReason::Overflow }
    }

    /// Whether [`Uplink::next_to_send`] has something.
    pub fn has_to_send(&self) -> bool {
        let more = self.cursor < self.end || self.notes.has_to_send();
        self.line.is_some_and(|line| more || (self.ending && !line.end_sent))
    }
}
