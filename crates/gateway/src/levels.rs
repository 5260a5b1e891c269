//! How loud it is: peak and root mean square of each channel, ten of them a second, of all streams that move; and of those that
//! somebody watches alone the loudness. Nothing is read and nothing measured while nobody wants to know.
//!
//! The levels come from the peaks, which the recorder makes anyway, so they are as late as those: about half a second, which
//! a player's buffer is, too. Latest wins: who takes them slowly misses some.

use crate::context::Context;
use crate::library::{FrameReader, Library};
use futures::stream::{StreamExt, iter};
use livetape_audio::loudness::{Loudness, Meter};
use livetape_audio::{Frame, RecordingId, StreamName, Tail};
use livetape_store::Recording;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often it is looked whether there is something new.
const TICK: Duration = Duration::from_millis(250);
/// Points of a second, and how far back the first ones go at most.
const POINTS: u64 = 10;
const BACK: Duration = Duration::from_secs(1);
/// What a loudness begins with: the time that a short-term one is about.
const WARM_UP: Duration = Duration::from_secs(3);
/// How long one stream may take, and how many are asked about at once.
const PATIENCE: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 16;
/// Streams whose loudness is measured at once; each takes some megabytes and up to a hundredth of a core.
const MEASURED: usize = 32;

/// What is told of a stream.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Level {
    stream: StreamName,
    recording: RecordingId,
    /// Where the first point begins, and the frame after the last one.
    first_frame: Frame,
    end_frame: Frame,
    frames_per_point: u64,
    /// For each point and channel the highest absolute sample; 1 is full scale.
    peak: Vec<Vec<f32>>,
    /// For each point and channel the root mean square.
    rms: Vec<Vec<f32>>,
    /// Only where one stream is watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    loudness: Option<Loudness>,
}

pub(crate) type News = Arc<HashMap<StreamName, Arc<Level>>>;

/// Who wants to know, and what they are told.
#[derive(Default)]
pub(crate) struct Levels {
    news: watch::Sender<News>,
    measured: Arc<Mutex<HashMap<StreamName, usize>>>,
}

/// While it lives, a stream's loudness is measured.
pub(crate) struct Measured {
    stream: StreamName,
    all: Arc<Mutex<HashMap<StreamName, usize>>>,
}

impl Levels {
    /// Follows the levels of all streams; with loudness, if one is named and there is room for it.
    pub(crate) fn follow(&self, only: Option<&StreamName>) -> (watch::Receiver<News>, Option<Measured>) {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let room = measured.len() < MEASURED;
        let one = only.filter(|stream| room || measured.contains_key(*stream)).map(|stream| {
            *measured.entry(stream.clone()).or_default() += 1;
            Measured { stream: stream.clone(), all: Arc::clone(&self.measured) }
        });
        (self.news.subscribe(), one)
    }

    fn is_measured(&self, stream: &StreamName) -> bool {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner).contains_key(stream)
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.stream) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.stream);
            }
        }
    }
}

/// Up to where a recording was told.
struct Followed {
    recording: Arc<Recording>,
    upto: Frame,
    measuring: Option<Measuring>,
}

struct Measuring {
    reader: Box<dyn FrameReader>,
    meter: Meter,
    upto: Frame,
}

/// Tells levels until the gateway drains.
pub(crate) async fn watch(context: Arc<Context>) {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut followed = HashMap::new();
    while context.drain.run_until_cancelled(tick.tick()).await.is_some() {
        if context.levels.news.receiver_count() == 0 {
            followed.clear();
            continue;
        }
        let all = look(&context, &mut followed).await;
        if !all.is_empty() {
            context.levels.news.send_replace(Arc::new(all));
        }
    }
}

async fn look(context: &Context, followed: &mut HashMap<StreamName, Followed>) -> HashMap<StreamName, Arc<Level>> {
    let library = &*context.library;
    let mut before = std::mem::take(followed);
    let growing = library.catalogue().streams().into_iter().filter_map(|stream| {
        let recording = library.catalogue().latest(&stream)?;
        let tail = library.tail(recording.id)?.current();
        let one = before.remove(&stream).filter(|one| one.recording.id == recording.id);
        (!tail.is_sealed()).then_some((stream, recording, tail, one))
    });
    let growing: Vec<_> = growing.collect();
    let asking = growing.into_iter().map(|(stream, recording, tail, one)| async move {
        let measured = context.levels.is_measured(&stream);
        // What takes too long is begun anew.
        let (one, level) = timeout(PATIENCE, tell(library, &stream, recording, tail, one, measured)).await.ok()??;
        Some((stream, one, level))
    });
    let told: Vec<_> = iter(asking).buffer_unordered(AT_ONCE).collect().await;
    let mut news = HashMap::new();
    for (stream, one, level) in told.into_iter().flatten() {
        news.extend(level.map(|level| (stream.clone(), Arc::new(level))));
        followed.insert(stream, one);
    }
    news
}

/// What is new of a recording, if something is.
async fn tell(
    library: &dyn Library,
    stream: &StreamName,
    recording: Arc<Recording>,
    tail: Tail,
    before: Option<Followed>,
    measured: bool,
) -> Option<(Followed, Option<Level>)> {
    let spec = recording.spec;
    let oldest = tail.end.back(spec.frames(BACK));
    let mut one = before.unwrap_or_else(|| Followed { recording: recording.clone(), upto: oldest, measuring: None });
    let from = one.upto.max(oldest);
    let points = (tail.end.since(from).get() * POINTS).div_ceil(u64::from(spec.rate())).clamp(1, POINTS);
    let width = u32::try_from(points).unwrap_or(1);
    let peaks = library.peaks(recording.clone(), from..tail.end, width).await.ok()?;
    if peaks.end <= one.upto || peaks.points.is_empty() {
        return Some((one, None));
    }
    let loudness = match measured {
        true => measure(library, &recording, peaks.end, &mut one.measuring).await,
        false => None,
    };
    one.upto = peaks.end;
    let each = |value: fn(&livetape_audio::peaks::Point) -> u16| -> Vec<Vec<f32>> {
        let full = |point| f32::from(value(point)) / 32_768.0;
        peaks.points.chunks(usize::from(spec.channels())).map(|point| point.iter().map(full).collect()).collect()
    };
    let level = Level {
        stream: stream.clone(),
        recording: recording.id,
        first_frame: peaks.first,
        end_frame: peaks.end,
        frames_per_point: peaks.frames_per_point.get(),
        peak: each(|point| point.min.unsigned_abs().max(point.max.unsigned_abs())),
        rms: each(|point| point.rms),
        loudness,
    };
    Some((one, Some(level)))
}

/// Hears what came since, up to `end`.
async fn measure(
    library: &dyn Library,
    recording: &Arc<Recording>,
    end: Frame,
    measuring: &mut Option<Measuring>,
) -> Option<Loudness> {
    let first = end.back(recording.spec.frames(WARM_UP));
    // After a pause that was too long to make up for it begins anew.
    let mut one = match measuring.take().filter(|one| one.upto >= first) {
        Some(one) => one,
        None => {
            let meter = Meter::new(recording.spec)?;
            Measuring { reader: library.reader(recording), meter, upto: first }
        }
    };
    one.meter.begin();
    while one.upto < end {
        let audio = one.reader.read(one.upto..end).await.ok()?.load().await.ok()?;
        one.upto = one.upto + recording.spec.frames_in(audio.len() as u64).0;
        let mut meter = one.meter;
        one.meter = tokio::task::spawn_blocking(move || {
            meter.hear(&audio);
            meter
        })
        .await
        .ok()?;
    }
    let told = one.meter.loudness();
    *measuring = Some(one);
    Some(told)
}
