//! What is played, frame after frame: the answers of a gateway one after another. A connection that breaks is made again, and
//! goes on with the very frame at which it broke, in the recording after that one if need be. Nothing is left out.

use super::gateway::{Answer, Gateway, Trouble};
use anyhow::{Context, anyhow};
use livetape_audio::wav_reader::{self, WavHead};
use livetape_audio::{Frame, FrameCount, RecordingId, Spec, State};
use std::io::Read;
use std::time::{Duration, Instant};

/// Bytes of one read.
const BLOCK: usize = 16 * 1024;
/// For how long a gateway that does not answer is asked again.
const PERSISTENT: Duration = Duration::from_secs(50);
/// Between two tries: the first wait and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A stream or a recording on its way to somebody who hears it.
pub(super) struct Program<'a> {
    gateway: &'a Gateway,
    what: &'a str,
    /// A recording of a stream goes on in the one after it.
    is_stream: bool,
    /// The recording and the frame in it that come next, where the gateway has said so.
    place: Option<(RecordingId, Frame)>,
    spec: Spec,
    body: Box<dyn Read>,
    /// Audio that was read and not handed over.
    rest: Vec<u8>,
    /// Frames to be left out: a gateway may begin a frame early.
    early: FrameCount,
    /// The body is a recording's, also where a stream is heard: its end need not be the end.
    resumed: bool,
}

impl<'a> Program<'a> {
    /// Asks for `target`, which is what `what` means.
    pub(super) fn begin(gateway: &'a Gateway, what: &'a str, target: &str) -> anyhow::Result<Self> {
        let answer = gateway.get(what, target).map_err(Trouble::error)?;
        let place = place(&answer);
        let mut body = answer.body;
        let (head, rest) = head(&mut body)?;
        let (spec, is_stream) = (head.spec, what.parse::<RecordingId>().is_err());
        let early = FrameCount::ZERO;
        Ok(Self { gateway, what, is_stream, place, spec, body, rest, early, resumed: false })
    }

    /// The shape of what was handed over last, or of what comes first.
    pub(super) const fn spec(&self) -> Spec {
        self.spec
    }

    /// The next whole frames, at least one; `None` at the end.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let mut block = vec![0; BLOCK];
        loop {
            let frame_bytes = self.spec.frame_bytes() as usize;
            let whole = self.rest.len() - self.rest.len() % frame_bytes;
            let mut pcm: Vec<u8> = self.rest.drain(..whole).collect();
            let frames = self.spec.frames_in(pcm.len() as u64).0;
            let skipped = if frames < self.early { frames } else { self.early };
            self.early = self.early - skipped;
            pcm.drain(..usize::try_from(self.spec.bytes(skipped)).unwrap_or(usize::MAX).min(pcm.len()));
            if !pcm.is_empty() {
                self.place = self.place.map(|(id, frame)| (id, frame + (frames - skipped)));
                return Ok(Some(pcm));
            }
            match self.body.read(&mut block) {
                Ok(0) if !self.resumed => return Ok(None),
                Ok(0) => match self.persist(None)? {
                    true => {}
                    false => return Ok(None),
                },
                Ok(n) => self.rest.extend_from_slice(block.get(..n).unwrap_or_default()),
                Err(error) => {
                    if !self.persist(Some(error))? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Asks until there is an answer. `false` if there is nothing more to ask for.
    fn persist(&mut self, broken: Option<std::io::Error>) -> anyhow::Result<bool> {
        let (began, mut wait) = (Instant::now(), FIRST_WAIT);
        if let Some(error) = &broken {
            eprintln!("{}: the gateway has broken off ({error}); it is asked again", self.what);
        }
        loop {
            let error = match self.resume() {
                Ok(more) => {
                    if broken.is_some() && more {
                        eprintln!("{}: goes on", self.what);
                    }
                    return Ok(more);
                }
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Passing(error)) => error,
            };
            if began.elapsed() > PERSISTENT {
                return Err(error.context(format!("the gateway has been asked for {} s", PERSISTENT.as_secs())));
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Asks for what comes next.
    fn resume(&mut self) -> Result<bool, Trouble> {
        self.rest.clear();
        let place = self.place.ok_or_else(|| Trouble::Final(anyhow!("the gateway has not said where this was")))?;
        let Some((id, frame)) = self.followed(place)? else { return Ok(false) };
        // Rounded down, so that it is the frame before at most.
        let pos = u128::from(frame.get()) * 1_000_000_000 / u128::from(self.spec.rate());
        let target = format!("/recordings/{id}/audio.wav?pos={}.{:09}", pos / 1_000_000_000, pos % 1_000_000_000);
        let answer = self.gateway.get(self.what, &target)?;
        let begins = self::place(&answer).map_or(frame, |(_, first)| first);
        let mut body = answer.body;
        let (head, rest) = head(&mut body).map_err(Trouble::Passing)?;
        (self.spec, self.body, self.rest) = (head.spec, body, rest);
        (self.early, self.place, self.resumed) = (frame.since(begins), Some((id, frame.max(begins))), true);
        Ok(true)
    }

    /// The same place in the recording that has it: what was live may have gone on in the next one. `None` at the end.
    fn followed(&mut self, (mut id, mut frame): (RecordingId, Frame)) -> Result<Option<(RecordingId, Frame)>, Trouble> {
        loop {
            let known = self.gateway.get(self.what, &format!("/recordings/{id}/timeline?limit=1"))?.json()?;
            let odd = || Trouble::Passing(anyhow!("the gateway's answer about {id} is not known here"));
            let (tail, spec) = (known.get("tail").ok_or_else(odd)?, known.get("spec").ok_or_else(odd)?);
            let end = Frame::new(tail["frames"].as_u64().ok_or_else(odd)?);
            self.spec = serde_json::from_value(spec.clone()).map_err(|_| odd())?;
            let sealed = serde_json::from_value(tail["state"].clone()).map_err(|_| odd())?;
            if frame < end || matches!(sealed, State::Open) {
                return Ok(Some((id, frame)));
            }
            match serde_json::from_value(tail["next"].clone()) {
                Ok(Some(next)) if self.is_stream => (id, frame) = (next, Frame::ZERO + frame.since(end)),
                _ => return Ok(None),
            }
        }
    }
}

/// Where an answer begins.
fn place(answer: &Answer) -> Option<(RecordingId, Frame)> {
    let frame = answer.header("X-Livetape-First-Frame")?;
    Some((answer.header("X-Livetape-Recording")?, Frame::new(frame)))
}

/// Reads the head of the WAV file, and what comes with it of the audio.
fn head(body: &mut impl Read) -> anyhow::Result<(WavHead, Vec<u8>)> {
    let (mut read, mut block) = (Vec::new(), vec![0; BLOCK]);
    loop {
        if let Some(head) = wav_reader::read_head(&read)? {
            let audio = read.split_off(head.data_at.min(read.len()));
            return Ok((head, audio));
        }
        let n = body.read(&mut block)?;
        if n == 0 {
            return Err(anyhow!("the answer ends before its head")).context("the gateway sent no audio");
        }
        read.extend_from_slice(block.get(..n).unwrap_or_default());
    }
}
