//! A stream elsewhere as a source: pulled over HTTP, as a player does, with its titles. When it breaks off it is asked for again,
//! for as long as it takes; what was missed is a gap.

pub(crate) mod client;
mod icy;
mod url;

pub use self::url::{RelayUrl, RelayUrlError};

use super::decoding::{Decoding, Material, Said, Target};
use super::feed::{Feed, Feeding, feed};
use super::pushed::{Arrival, Pushed};
use super::{Piece, Source, SourceError};
use crate::backoff::Backoff;
use crate::intake::kind;
use crate::random::Random;
use crate::shape::Shape;
use crate::station::Station;
use bytes::Bytes;
use client::Found;
use icy::{Icy, Part};
use livetape_audio::{Frame, Spec};
use livetape_codec::decode::Input;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How long each step may take, and how long nothing may come.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a recording waits for the name of a stream that has a fallback.
const NAME: Duration = Duration::from_secs(2);
/// Between two tries: the first wait and the longest.
const TRIES: std::ops::RangeInclusive<Duration> = Duration::from_millis(250)..=Duration::from_secs(30);
/// One that played for so long was well.
const WELL: Duration = Duration::from_secs(20);

/// A stream elsewhere as a source.
#[derive(Debug)]
pub(crate) struct Relay {
    pushed: Pushed,
    station: Station,
    _puller: AbortOnDropHandle<()>,
}

/// What is known once it plays.
struct First {
    spec: Spec,
    station: Station,
}

impl Relay {
    /// Waits until the stream can be had. What `shape` leaves open is as in the stream.
    ///
    /// # Errors
    /// When there is no puller any more, which is a bug.
    pub(crate) async fn open(url: RelayUrl, shape: Shape) -> Result<Self, SourceError> {
        Self::within(PATIENCE, url, shape).await
    }

    async fn within(patience: Duration, url: RelayUrl, shape: Shape) -> Result<Self, SourceError> {
        let (to, arrivals) = mpsc::channel(1);
        let (first, known) = oneshot::channel();
        let shown = url.clone();
        let puller = Puller { url, patience, to, first: Some(first), target: Target::Shape(shape) };
        let puller = AbortOnDropHandle::new(tokio::spawn(puller.run()));
        let First { spec, station } = known.await.map_err(|_| SourceError::Relay(shown))?;
        Ok(Self { pushed: Pushed::new(spec, arrivals, false), station, _puller: puller })
    }

    /// Begins in this shape, whether or not the stream can be had: nothing comes until then. What it calls itself is waited
    /// for a little, because it is said when the recording begins.
    pub(crate) async fn start(url: RelayUrl, spec: Spec) -> Self {
        let (to, arrivals) = mpsc::channel(1);
        let (first, known) = oneshot::channel();
        let puller = Puller { url, patience: PATIENCE, to, first: Some(first), target: Target::Spec(spec) };
        let puller = AbortOnDropHandle::new(tokio::spawn(puller.run()));
        let station = match timeout(NAME, known).await {
            Ok(Ok(First { station, .. })) => station,
            Ok(Err(_)) | Err(_) => Station::default(),
        };
        Self { pushed: Pushed::new(spec, arrivals, false), station, _puller: puller }
    }

    /// What the stream says of itself.
    pub(crate) const fn station(&self) -> &Station {
        &self.station
    }
}

impl Source for Relay {
    fn spec(&self) -> Spec {
        self.pushed.spec()
    }
    fn begin(&mut self, next: Frame) {
        self.pushed.begin(next);
    }
    fn next(&mut self) -> impl Future<Output = Result<Option<Piece>, SourceError>> + Send {
        self.pushed.next()
    }
}

struct Puller {
    url: RelayUrl,
    patience: Duration,
    to: mpsc::Sender<Arrival>,
    first: Option<oneshot::Sender<First>>,
    target: Target,
}

impl Puller {
    async fn run(mut self) {
        let mut backoff = Backoff::new(TRIES, Random::seeded());
        let mut told = None;
        loop {
            let began = tokio::time::Instant::now();
            let why = self.once().await.err().unwrap_or_else(|| "it has ended".into());
            if began.elapsed() > WELL {
                backoff.reset();
                told = None;
            }
            if told.as_ref() != Some(&why) {
                tracing::warn!(url = %self.url, "the stream cannot be relayed: {why}; it is asked for again and again");
                told = Some(why);
            }
            sleep(backoff.wait()).await;
        }
    }

    /// Asks for the stream and plays it to its end.
    async fn once(&mut self) -> Result<(), String> {
        let found = client::find(&self.url, self.patience).await?;
        let (feed, feeding, reader) = feed();
        let extension = found.head.text("content-type").and_then(kind::extension).or_else(|| {
            let path = found.url.url().path();
            kind::split(path).1
        });
        let material = Material {
            name: found.url.to_string(),
            extension: extension.map(Into::into),
            untitled: None,
            feeding: Some(Arc::clone(&feeding)),
        };
        let station = Station::of(&found.head);
        let decoding = Decoding::start(material, self.target, move || Ok(Input::stream(reader)));
        let mut decoding = decoding.map_err(|error| error.to_string())?;
        let pump = AbortOnDropHandle::new(tokio::spawn(pump(found, feed, Arc::clone(&feeding))));
        let begun = timeout(self.patience, decoding.next()).await;
        let (spec, title) = match begun.map_err(|_| format!("no audio within {:?}", self.patience))? {
            Some(Said::Begins { spec, title }) => (spec, title),
            Some(Said::Ends(outcome)) => return Err(outcome.error.unwrap_or_else(|| "there is no audio in it".into())),
            _ => return Err("its decoder failed, which is a bug".into()),
        };
        tracing::info!(url = %self.url, "the stream is there");
        self.target = Target::Spec(spec);
        if let Some(first) = self.first.take() {
            let _ = first.send(First { spec, station });
        }
        let taken = CancellationToken::new().drop_guard();
        let arrival = Arrival { decoding, feeding, title, _taken: taken };
        self.to.send(arrival).await.map_err(|_| "nobody wants it any more".to_owned())?;
        pump.await.map_err(|panic| panic.to_string())?
    }
}

/// Moves what comes to the decoder.
async fn pump(mut found: Found, feed: Feed, feeding: Arc<Feeding>) -> Result<(), String> {
    let mut icy = Icy::every(found.head.text("icy-metaint"));
    while let Some(mut block) = found.body.next().await.map_err(|error| error.to_string())? {
        let Some(icy) = &mut icy else {
            send(&feed, block).await?;
            continue;
        };
        while let Some(part) = icy.next(&mut block) {
            match part {
                Part::Audio(audio) => send(&feed, audio).await?,
                Part::Title(title) => feeding.title(title),
            }
        }
    }
    Ok(())
}

async fn send(feed: &Feed, block: Bytes) -> Result<(), String> {
    if feed.send(block).await { Ok(()) } else { Err("what it sends cannot be decoded any further".into()) }
}
