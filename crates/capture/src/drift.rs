//! When a sound card captured a frame: the card's own clock, told by the monotonic one.
//!
//! A card counts frames with a crystal that is off by up to some hundred parts in a million. All that a program sees of
//! it is the moments at which blocks of frames arrive, each late by what the machine was busy with, never early. Drawn
//! over the frames, these moments are points above a straight line: the line is the card's clock. Of all lines below
//! the points the right one is that which is nearest to them; it is the edge of their lower hull below their middle.
//! What lateness does to a single point does not move it.
//!
//! Without IO: it is told when what arrived. Not here: the time of day (`clock`), what is done about lost frames.

pub use livetape_audio::Drift;

use livetape_audio::{FrameCount, Spec};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Of the points within this much audio only the earliest counts.
const BIN: f64 = 1.0;
/// So many of these are looked at: a crystal keeps its rate over minutes, not over hours.
const BINS: usize = 600;
/// With fewer, the slope would be that of the lateness: the line keeps the slope that is known, or none, …
const STEEP: usize = 60;
/// … and lies below the newest so many.
const FLAT: usize = 10;
/// A point so far from the line, in seconds, is not late: frames were lost, or came twice.
const SLIP: f64 = 0.015;
/// So many points have to be that late one after another.
const PERSISTENT: usize = 4;

/// A moment at which audio had arrived, in seconds.
#[derive(Clone, Copy, Debug)]
struct Point {
    /// Audio since the stretch began.
    audio: f64,
    /// How much later it was captured than at the nominal rate.
    late: f64,
    /// How much later it arrived: later by the latency that the host knows of.
    arrived: f64,
}

/// How late audio is by the card's clock: `late` at `audio`, and `slope` more for each second.
#[derive(Clone, Copy, Debug)]
struct Line {
    at: Point,
    slope: f64,
}

impl Line {
    fn late(self, audio: f64) -> f64 {
        self.at.late + self.slope * (audio - self.at.audio)
    }
}

/// The clock of one card. It counts frames from 0 in each stretch; a stretch ends where frames were lost.
#[derive(Clone, Debug)]
pub struct CardClock {
    spec: Spec,
    /// The moment of frame 0, as the first arrival told it.
    origin: Option<Instant>,
    counted: FrameCount,
    /// The end of the bin that is not complete, in seconds of audio.
    until: f64,
    /// The earliest of each bin, and of the one that is not complete.
    points: VecDeque<Point>,
    open: Option<Point>,
    /// The least latency within that.
    latency: Duration,
    line: Option<Line>,
    /// Of the card, over all stretches.
    slope: Option<f64>,
    /// Points one after another that lie too far above the line.
    slipping: usize,
}

impl CardClock {
    /// A clock that has seen nothing.
    pub const fn new(spec: Spec) -> Self {
        Self {
            spec,
            origin: None,
            counted: FrameCount::ZERO,
            until: BIN,
            points: VecDeque::new(),
            open: None,
            latency: Duration::MAX,
            line: None,
            slope: None,
            slipping: 0,
        }
    }

    /// A new stretch: what comes next does not follow on what came before. The card stays the same.
    pub fn begin(&mut self) {
        *self = Self { slope: self.slope, ..Self::new(self.spec) };
    }

    /// `frames` more were there at `now`, of which the last had been captured `latency` before, as far as the host knows.
    /// What hosts know trembles, so only the least of it counts. Says by how much time and frames have moved against each other, if they
    /// have: frames were lost without anybody saying so (above zero), or came twice. A new stretch has begun then.
    pub fn arrived(&mut self, frames: FrameCount, now: Instant, latency: Duration) -> Option<Slip> {
        let origin = *self.origin.get_or_insert_with(|| back(now, self.spec.duration(frames)));
        self.counted = self.counted + frames;
        let audio = self.seconds(self.counted);
        let elapsed = now.saturating_duration_since(origin).as_secs_f64();
        let point = Point { audio, late: elapsed - audio, arrived: elapsed - audio };
        let open = self.open.get_or_insert(point);
        if point.late < open.late {
            *open = point;
        }
        self.latency = self.latency.min(latency);
        if self.points.is_empty() {
            let at = Point { late: open.late - self.latency.as_secs_f64(), ..*open };
            self.line = Some(Line { at, slope: self.slope.unwrap_or_default() });
        }
        if audio < self.until {
            return None;
        }
        self.until = audio.floor() + BIN;
        let slip = self.close()?;
        self.begin();
        self.arrived(frames, now, latency);
        Some(slip)
    }

    /// The bin is complete.
    fn close(&mut self) -> Option<Slip> {
        let mut point = self.open.take()?;
        point.late -= std::mem::replace(&mut self.latency, Duration::MAX).as_secs_f64();
        let off = self.line.map_or(0.0, |line| point.late - line.late(point.audio));
        self.slipping = if off > SLIP { self.slipping + 1 } else { 0 };
        if off < -SLIP || self.slipping >= PERSISTENT {
            return Some(Slip(off.min(self.delayed(point))));
        }
        self.points.push_back(point);
        if self.points.len() > BINS {
            self.points.pop_front();
        }
        self.line = self.fitted();
        None
    }

    /// How much later a point arrived than those before the slip. A host that only finds out how late it is has lost nothing.
    fn delayed(&self, point: Point) -> f64 {
        let before = self.points.iter().rev().skip(self.slipping.saturating_sub(1)).take(FLAT);
        let before = before.map(|p| p.arrived - self.slope.unwrap_or_default() * (p.audio - point.audio));
        point.arrived - before.min_by(f64::total_cmp).unwrap_or(point.arrived)
    }

    fn fitted(&mut self) -> Option<Line> {
        if self.points.len() < STEEP {
            let slope = self.slope.unwrap_or_default();
            let above = |p: &Point| p.late - slope * p.audio;
            let at = self.points.iter().rev().take(FLAT).min_by(|a, b| above(a).total_cmp(&above(b)))?;
            return Some(Line { at: *at, slope });
        }
        let line = support(&self.points)?;
        self.slope = Some(line.slope);
        Some(line)
    }

    /// How many frames of this stretch have arrived.
    pub const fn counted(&self) -> FrameCount {
        self.counted
    }

    /// The moment at which frame `n` of this stretch was captured; `None` before anything has arrived.
    pub fn at(&self, n: FrameCount) -> Option<Instant> {
        let (origin, line) = (self.origin?, self.line?);
        let late = line.late(self.seconds(n));
        let nominal = origin + self.spec.duration(n);
        let off = Duration::try_from_secs_f64(late.abs()).unwrap_or_default();
        Some(if late < 0.0 { back(nominal, off) } else { nominal + off })
    }

    /// How fast the card's clock is, once there was enough to see it: a minute of audio.
    pub fn drift(&self) -> Option<Drift> {
        // A card that is fast is ever less late.
        self.slope.map(|slope| Drift::from_ppm(-slope * 1e6))
    }

    fn seconds(&self, n: FrameCount) -> f64 {
        self.spec.duration(n).as_secs_f64()
    }
}

/// Time moved on by so many seconds against the frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slip(f64);

impl Slip {
    /// Of so many seconds.
    #[cfg(test)]
    pub(crate) const fn of(seconds: f64) -> Self {
        Self(seconds)
    }

    /// Above zero if audio is missing, below if there was too much of it.
    pub fn seconds(self) -> f64 {
        self.0
    }
}

/// `d` before `t`, as far as the clock goes back.
fn back(t: Instant, d: Duration) -> Instant {
    t.checked_sub(d).unwrap_or(t)
}

/// The line that lies below all points and nearest to them: the edge of their lower hull below the middle of them.
fn support(points: &VecDeque<Point>) -> Option<Line> {
    let middle = points.iter().map(|p| p.audio).sum::<f64>() / points.len() as f64;
    let mut hull: Vec<Point> = Vec::with_capacity(points.len());
    for &p in points {
        while let [.., a, b] = hull[..]
            && (b.late - a.late) * (p.audio - a.audio) >= (p.late - a.late) * (b.audio - a.audio)
        {
            hull.pop();
        }
        hull.push(p);
    }
    let edge = hull.windows(2).find(|edge| edge.last().is_some_and(|right| right.audio >= middle))?;
    let [a, b] = edge else { return None };
    let width = b.audio - a.audio;
    (width > 0.0).then(|| Line { at: *a, slope: (b.late - a.late) / width })
}

#[cfg(test)]
mod tests;
