//! What the recorder says: the stream is open under these numbers, so much is durable, nothing is wanted, or nothing at all.

use super::{Line, Stretch, Uplink, UplinkError};
use livetape_audio::{Durable, Epoch, Frame, FrameCount, RecordingId};

impl Uplink {
    /// The recorder has opened the stream: `recording` goes on with frame `next`. `resume` is the same frame in the
    /// numbers used until now, if the recorder knows them; what is before it is durable. It takes `most` bytes at once.
    ///
    /// # Errors
    /// If `most` is less than a frame.
    pub fn opened(
        &mut self,
        epoch: Epoch,
        recording: RecordingId,
        next: Frame,
        resume: Option<Frame>,
        most: u64,
    ) -> Result<(), UplinkError> {
        let (frames, _) = self.spec.frames_in(most);
        if frames.is_zero() {
            return Err(UplinkError::Narrow { max: most, frame: u64::from(self.spec.frame_bytes()) });
        }
        // A recorder that has more than it was sent talks of somebody else's audio: then nothing of ours is known to
        // be durable, and sending it twice is better than losing it.
        let sent = self.numbers.number(self.cursor);
        match resume {
            Some(resume) if resume > sent && !self.restored => {
                tracing::warn!(%resume, %sent, "the recorder has audio of somebody else: nothing is dropped");
            }
            Some(resume) => self.settle(resume),
            None => {}
        }
        (self.restored, self.unanswered) = (false, false);
        self.cursor = self.numbers.durable;
        self.notes.again();
        self.numbers.recording = Some(recording);
        self.numbers.until = None;
        self.numbers.stretches = vec![Stretch { from: self.cursor, number: next }];
        self.line = Some(Line { epoch, most: frames, end_sent: false });
        (self.connected, self.standing_by) = (true, false);
        self.opened += 1;
        // Before anything is sent under these numbers, a process after this one has to know them.
        self.save_numbers(None);
        Ok(())
    }

    /// The recorder wants nothing until it opens the stream: what is not durable is let go, and so is all that is captured
    /// meanwhile.
    pub fn stand_by(&mut self) {
        (self.line, self.connected, self.standing_by, self.restored) = (None, true, true, false);
        self.unanswered = false;
        self.unwanted = self.unwanted + self.waiting();
        self.memory.clear();
        (self.bytes, self.cursor) = (0, self.end);
        self.notes.let_go();
        self.numbers.until = None;
        self.numbers.settle(self.end);
        if let Some(shelf) = &mut self.shelf {
            shelf.store.let_go(&self.numbers);
        }
        self.save_numbers(None);
        if self.ending {
            self.finished();
        }
    }

    /// The recorder answers, and wants nothing that was captured before its first answer. How much is let go.
    pub fn let_go_of_unanswered(&mut self) -> FrameCount {
        let waiting = self.waiting();
        if !self.unanswered || waiting.is_zero() && self.captured.is_zero() {
            return FrameCount::ZERO;
        }
        self.stand_by();
        waiting
    }

    /// The call is broken. Numbers are kept: the recorder may still have written what was sent.
    pub fn disconnected(&mut self) {
        (self.line, self.connected) = (None, false);
        self.save(None);
    }

    /// The recorder says that all frames before `durable` survive a power cut. Returns whether that was news.
    ///
    /// # Errors
    /// If these frames were never sent.
    pub fn acknowledged(&mut self, durable: Durable) -> Result<bool, UplinkError> {
        let next = self.numbers.number(self.cursor);
        if durable.end() > next {
            return Err(UplinkError::NeverSent { durable, next });
        }
        let before = self.numbers.durable;
        self.settle(durable.end());
        Ok(self.numbers.durable > before)
    }

    /// Drops what is durable: everything before frame `end`, and the gaps before a frame that is.
    fn settle(&mut self, end: Frame) {
        let place = self.numbers.place(end).min(self.cursor);
        let news = self.numbers.number(place).since(self.numbers.number(self.numbers.durable));
        if place <= self.numbers.durable {
            return;
        }
        self.acknowledged = self.acknowledged + news;
        self.numbers.settle(place);
        self.notes.settle(place);
        while let Some(mut first) = self.memory.pop_front() {
            self.bytes -= first.held.chunk.pcm.len() as u64;
            if first.held.end(self.spec) > place {
                first.held = first.held.from(place, self.spec);
                self.bytes += first.held.chunk.pcm.len() as u64;
                self.memory.push_front(first);
                break;
            }
        }
        if let Some(shelf) = &mut self.shelf {
            shelf.store.release(&self.numbers);
        }
    }
}
