//! One file on a thread of its own: opened, decoded, converted, and handed over as fast as it is taken. A decoder that
//! panics ends its thread and nothing else; one that hangs is left behind.

use super::error::FileError;
use super::list;
use crate::shape::Shape;
use bytes::Bytes;
use livetape_audio::{Spec, Title};
use livetape_codec::convert::Converter;
use livetape_codec::decode::{Decoder, Handle, Input, Tags};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;

/// Messages between the thread and the source.
const AHEAD: usize = 16;
/// Most bytes of audio in one message, about.
const BLOCK: usize = 1 << 16;

/// What the audio has to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// What the first file is, where this says nothing.
    Shape(Shape),
    /// This.
    Spec(Spec),
}

/// What a thread says.
#[derive(Debug)]
pub(super) enum Said {
    /// The file can be played; this will come.
    Begins { spec: Spec, title: Title },
    /// From here on something else is playing.
    Title(Title),
    /// Whole frames.
    Audio(Bytes),
    /// Nothing more of this file.
    Ends(Outcome),
}

/// How a file has ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) position: Duration,
    pub(super) byte: u64,
    /// Packets that were left out.
    pub(super) damaged: u64,
    pub(super) error: Option<String>,
}

impl Outcome {
    /// The thread is gone without a word.
    pub(super) fn panicked(decoding: &Decoding) -> Self {
        Self::died(decoding, "its decoder failed, which is a bug".into())
    }

    /// The thread does not answer; it is called off, and left to itself.
    pub(super) fn hanging(decoding: &Decoding, limit: Duration) -> Self {
        Self::died(decoding, format!("its decoder has given nothing for {limit:?}"))
    }

    fn died(decoding: &Decoding, why: String) -> Self {
        decoding.handle.stop();
        Self { position: Duration::ZERO, byte: decoding.handle.position(), damaged: 0, error: Some(why) }
    }
}

/// A file that is being decoded.
#[derive(Debug)]
pub(super) struct Decoding {
    pub(super) path: PathBuf,
    pub(super) said: mpsc::Receiver<Said>,
    handle: Handle,
}

impl Decoding {
    /// Starts the thread.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub(super) fn start(path: PathBuf, target: Target) -> std::io::Result<Self> {
        let (sender, said) = mpsc::channel(AHEAD);
        let handle = Handle::default();
        let (file, called_off) = (path.clone(), handle.clone());
        std::thread::Builder::new().name("decoder".into()).spawn(move || {
            let work = AssertUnwindSafe(|| play(&file, target, called_off, &sender));
            if let Ok(Some(outcome)) = catch_unwind(work) {
                // Nobody waits for it any more when the source has been stopped.
                let _ = sender.blocking_send(Said::Ends(outcome));
            }
        })?;
        Ok(Self { path, said, handle })
    }
}

impl Drop for Decoding {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

/// Opens a regular file. What looked like one may have been replaced: by a pipe, that nobody writes to.
fn open(path: &Path) -> Result<File, String> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(|e| e.to_string())?;
    let data = file.metadata().map_err(|e| e.to_string())?;
    match list::regular(path, &data) {
        Ok(()) if data.len() == 0 => Err("it is empty".into()),
        Ok(()) => Ok(file),
        Err(FileError::Kind { what, .. }) => Err(format!("this is {what}, not a file")),
        Err(error) => Err(error.to_string()),
    }
}

/// Plays a file to its end; `None` if nobody wants to hear it any more.
fn play(path: &Path, target: Target, handle: Handle, sender: &mpsc::Sender<Said>) -> Option<Outcome> {
    #[cfg(test)]
    misbehave(path);
    let extension = path.extension().and_then(|extension| extension.to_str());
    let input = open(path).map(|file| Input::file(file).under(handle.clone()));
    let opened = input.and_then(|input| Decoder::open(input, extension).map_err(|error| error.to_string()));
    let failed =
        |why: String| Outcome { position: Duration::ZERO, byte: handle.position(), damaged: 0, error: Some(why) };
    let mut decoder = match opened {
        Ok(decoder) => decoder,
        Err(why) => return Some(failed(why)),
    };
    let mut player = match Player::new(path, target, &mut decoder, sender) {
        Ok(player) => player,
        Err(why) => return Some(failed(why)),
    };
    let error = match player.run(&mut decoder) {
        Ok(()) => None,
        Err(Stop::Nobody) => return None,
        Err(Stop::Broken(why)) => Some(why),
    };
    Some(Outcome { position: decoder.position(), byte: handle.position(), damaged: decoder.damaged(), error })
}

enum Stop {
    /// The source is gone.
    Nobody,
    Broken(String),
}

struct Player<'a> {
    spec: Spec,
    converter: Converter,
    sender: &'a mpsc::Sender<Said>,
    out: Vec<u8>,
}

impl<'a> Player<'a> {
    fn new(path: &Path, target: Target, decoder: &mut Decoder, sender: &'a mpsc::Sender<Said>) -> Result<Self, String> {
        let (sound, own) = (decoder.sound(), decoder.own_format());
        let spec = match target {
            Target::Spec(spec) => spec,
            Target::Shape(shape) => {
                // The nearest that can be recorded.
                let rate = sound.rate.clamp(Spec::MIN_RATE, Spec::MAX_RATE);
                let channels = u32::from(sound.channels).clamp(1, Spec::MAX_CHANNELS);
                let nearest = Spec::new(own, rate, channels).map_err(|error| error.to_string())?;
                shape.over(nearest).map_err(|error| error.to_string())?
            }
        };
        let converter = Converter::new(sound, spec).map_err(|error| error.to_string())?;
        let (rate, channels, file) = (sound.rate, sound.channels, path.display());
        tracing::info!(%file, rate, channels, format = own.as_str(), recorded = %spec, "playing");
        let tags = decoder.tags().unwrap_or_default();
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let title = if tags.is_empty() { Tags { title: stem, ..tags } } else { tags };
        // Nobody waits for it any more when the source has been stopped, which shows soon.
        let _ = sender.blocking_send(Said::Begins { spec, title: title_of(&title) });
        Ok(Self { spec, converter, sender, out: Vec::new() })
    }

    fn run(&mut self, decoder: &mut Decoder) -> Result<(), Stop> {
        let broken = |why: String| Stop::Broken(why);
        let outcome = loop {
            let block = match decoder.next() {
                Ok(Some(block)) => block,
                Ok(None) => break Ok(()),
                Err(error) => break Err(broken(error.to_string())),
            };
            if block.sound != self.converter.from() {
                self.converter.finish(&mut self.out).map_err(|e| broken(e.to_string()))?;
                self.converter = Converter::new(block.sound, self.spec).map_err(|e| broken(e.to_string()))?;
            }
            // A block may be large: what is converted at once has a bound.
            let part = (BLOCK / 8).next_multiple_of(usize::from(block.sound.channels.max(1)));
            for samples in block.samples.chunks(part) {
                self.converter.push(samples, &mut self.out).map_err(|e| broken(e.to_string()))?;
                self.send()?;
            }
            if let Some(tags) = decoder.tags().filter(|tags| !tags.is_empty()) {
                self.say(Said::Title(title_of(&tags)))?;
            }
        };
        // What came before a break is good.
        self.converter.finish(&mut self.out).map_err(|e| broken(e.to_string()))?;
        self.send()?;
        outcome
    }

    fn send(&mut self) -> Result<(), Stop> {
        if self.out.is_empty() {
            return Ok(());
        }
        let audio = std::mem::take(&mut self.out);
        self.say(Said::Audio(audio.into()))
    }

    fn say(&self, said: Said) -> Result<(), Stop> {
        self.sender.blocking_send(said).map_err(|_| Stop::Nobody)
    }
}

fn title_of(tags: &Tags) -> Title {
    let plain: String =
        tags.line().chars().map(|c| if c.is_control() { ' ' } else { c }).take(Title::MAX_CHARS).collect();
    plain.parse().unwrap_or_default()
}

/// As a decoder might, for tests.
#[cfg(test)]
fn misbehave(path: &Path) {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    assert!(!name.contains("panics for tests"), "as told");
    if name.contains("hangs for tests") {
        std::thread::sleep(Duration::from_secs(3_600));
    }
}
