//! A file or a stream of bytes on a thread of its own: opened, decoded, converted, and handed over as fast as it is taken. A
//! decoder that panics ends its thread and nothing else; one that hangs is left behind.

use super::feed::Feeding;
use crate::shape::Shape;
use bytes::Bytes;
use livetape_audio::{Spec, Title};
use livetape_codec::convert::Converter;
use livetape_codec::decode::{Decoder, Handle, Input, Tags};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Messages between the thread and the source.
const AHEAD: usize = 16;
/// Most bytes of audio in one message, about.
const BLOCK: usize = 1 << 16;

/// What the audio has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// What the first file is, where this says nothing.
    Shape(Shape),
    /// This.
    Spec(Spec),
}

/// What a thread says.
#[derive(Debug)]
pub(crate) enum Said {
    /// It can be played; this will come.
    Begins { spec: Spec, title: Option<Title> },
    /// From here on something else is playing.
    Title(Title),
    /// Whole frames.
    Audio(Bytes),
    /// Nothing more of it.
    Ends(Outcome),
}

/// How it has ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) position: Duration,
    pub(crate) byte: u64,
    /// Packets that were left out.
    pub(crate) damaged: u64,
    pub(crate) error: Option<String>,
}

impl Outcome {
    /// The thread is gone without a word.
    pub(crate) fn panicked(decoding: &Decoding) -> Self {
        Self::died(decoding, "its decoder failed, which is a bug".into())
    }

    /// The thread does not answer; it is called off, and left to itself.
    pub(crate) fn hanging(decoding: &Decoding, limit: Duration) -> Self {
        Self::died(decoding, format!("its decoder has given nothing for {limit:?}"))
    }

    fn died(decoding: &Decoding, why: String) -> Self {
        decoding.handle.stop();
        Self { position: decoding.position(), byte: decoding.handle.position(), damaged: 0, error: Some(why) }
    }
}

/// What there is to be decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Material {
    /// What logs call it.
    pub(crate) name: String,
    /// Extension of its name: a hint at what it is.
    pub(crate) extension: Option<String>,
    /// What is playing if its tags do not say.
    pub(crate) untitled: Option<Title>,
    /// Whoever feeds it, if somebody does.
    pub(crate) feeding: Option<Arc<Feeding>>,
}

/// Something that is being decoded.
#[derive(Debug)]
pub(crate) struct Decoding {
    said: mpsc::Receiver<Said>,
    handle: Handle,
    /// What was handed over.
    spec: Option<Spec>,
    bytes: u64,
}

impl Decoding {
    /// Starts the thread, which opens what `open` gives.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub(crate) fn start(
        material: Material,
        target: Target,
        open: impl FnOnce() -> Result<Input, String> + Send + 'static,
    ) -> std::io::Result<Self> {
        let (sender, said) = mpsc::channel(AHEAD);
        let handle = Handle::default();
        let called_off = handle.clone();
        std::thread::Builder::new().name("decoder".into()).spawn(move || {
            let work = AssertUnwindSafe(|| play(&material, target, called_off, open, &sender));
            if let Ok(Some(outcome)) = catch_unwind(work) {
                // Nobody waits for it any more when the source has been stopped.
                let _ = sender.blocking_send(Said::Ends(outcome));
            }
        })?;
        Ok(Self { said, handle, spec: None, bytes: 0 })
    }

    /// What its thread says next; nothing, when that is gone without a word. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Said> {
        let said = self.said.recv().await;
        match &said {
            Some(Said::Begins { spec, .. }) => self.spec = Some(*spec),
            Some(Said::Audio(audio)) => self.bytes += audio.len() as u64,
            Some(Said::Title(_) | Said::Ends(_)) | None => {}
        }
        said
    }

    /// How much of it was handed over.
    fn position(&self) -> Duration {
        self.spec.map_or(Duration::ZERO, |spec| spec.duration(spec.frames_in(self.bytes).0))
    }
}

impl Drop for Decoding {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

/// Plays it to its end; `None` if nobody wants to hear it any more.
fn play(
    material: &Material,
    target: Target,
    handle: Handle,
    open: impl FnOnce() -> Result<Input, String>,
    sender: &mpsc::Sender<Said>,
) -> Option<Outcome> {
    #[cfg(test)]
    misbehave(&material.name);
    let input = open().map(|input| input.under(handle.clone()));
    let extension = material.extension.as_deref();
    let opened = input.and_then(|input| Decoder::open(input, extension).map_err(|error| error.to_string()));
    let failed =
        |why: String| Outcome { position: Duration::ZERO, byte: handle.position(), damaged: 0, error: Some(why) };
    let mut decoder = match opened {
        Ok(decoder) => decoder,
        Err(why) => return Some(failed(why)),
    };
    let mut player = match Player::new(material, target, &mut decoder, sender) {
        Ok(player) => player,
        Err(why) => return Some(failed(why)),
    };
    let done = player.run(&mut decoder, &handle);
    #[cfg(test)]
    misbehave(&material.name.replace("at last ", ""));
    let error = match done {
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
    feeding: Option<&'a Feeding>,
    out: Vec<u8>,
}

impl<'a> Player<'a> {
    fn new(
        material: &'a Material,
        target: Target,
        decoder: &mut Decoder,
        sender: &'a mpsc::Sender<Said>,
    ) -> Result<Self, String> {
        let (sound, own) = (decoder.sound(), decoder.own_format());
        let spec = match target {
            Target::Spec(spec) => spec,
            Target::Shape(shape) => {
                // The nearest that can be recorded.
                let rate = sound.rate.clamp(Spec::MIN_RATE, Spec::MAX_RATE);
                let channels = u32::from(sound.channels).clamp(1, Spec::MAX_CHANNELS);
                let nearest = Spec::new(own, rate, channels).map_err(|error| error.to_string())?;
                let nearest = nearest.for_speakers(sound.layout).unwrap_or(nearest);
                shape.over(nearest).map_err(|error| error.to_string())?
            }
        };
        let converter = Converter::new(sound, spec).map_err(|error| error.to_string())?;
        let (rate, channels, name) = (sound.rate, sound.channels, &material.name);
        tracing::info!(%name, rate, channels, format = own.as_str(), recorded = %spec, "playing");
        let tags = decoder.tags().unwrap_or_default();
        let title = if tags.is_empty() { material.untitled.clone() } else { Some(title_of(&tags)) };
        // Nobody waits for it any more when the source has been stopped, which shows soon.
        let _ = sender.blocking_send(Said::Begins { spec, title });
        let feeding = material.feeding.as_deref();
        Ok(Self { spec, converter, sender, feeding, out: Vec::new() })
    }

    fn run(&mut self, decoder: &mut Decoder, handle: &Handle) -> Result<(), Stop> {
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
            if let Some(title) = self.feeding.and_then(|feeding| feeding.due(handle.position())) {
                self.say(Said::Title(title))?;
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

/// A title made of tags.
pub(crate) fn title_of(tags: &Tags) -> Title {
    crate::title::plain(&tags.line())
}

/// As a decoder might, for tests: at once, or (`panics at last for tests`) when it has given everything.
#[cfg(test)]
pub(crate) fn misbehave(name: &str) {
    assert!(!name.contains("panics for tests"), "as told");
    if name.contains("hangs for tests") {
        std::thread::sleep(Duration::from_secs(3_600));
    }
}
