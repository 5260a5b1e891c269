//! Time of day, and the two ways to say where something is: a number of seconds, or a time of day.

use crate::position::FrameCount;
use crate::spec::Spec;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const NANOS: i128 = 1_000_000_000;

/// A time of day: nanoseconds since 1970-01-01T00:00:00Z, without leap seconds. Years 1970 to 2262.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(into = "String", try_from = "String", extend("format" = "date-time"), example = "2026-11-20T14:30:00Z")]
pub struct WallTime(i64);

impl WallTime {
    /// From nanoseconds since 1970 (may be negative).
    pub const fn from_unix_nanos(nanos: i64) -> Self {
        Self(nanos)
    }
    /// Nanoseconds since 1970.
    pub const fn unix_nanos(self) -> i64 {
        self.0
    }
    /// Milliseconds since 1970, zero before.
    pub const fn unix_millis(self) -> u64 {
        if self.0 < 0 { 0 } else { self.0 as u64 / 1_000_000 }
    }
    /// `d` later, not past the last representable time.
    pub fn later(self, d: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
    }
    /// `d` earlier.
    pub fn earlier(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
    }
    /// Time since `earlier`; zero when it is not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        let nanos = self.0.saturating_sub(earlier.0);
        Duration::from_nanos(if nanos < 0 { 0 } else { nanos as u64 })
    }
    /// How far apart two times are.
    pub const fn distance(self, other: Self) -> Duration {
        Duration::from_nanos(self.0.abs_diff(other.0))
    }
    /// The time at which the frame `n` frames after the one at `self` begins (rounded down).
    pub fn after_frames(self, n: FrameCount, spec: Spec) -> Self {
        self.later(spec.duration(n))
    }
    /// Frames to go until the first frame that begins at `time` or later, from a frame that begins at `self`.
    pub fn frames_until(self, time: Self, spec: Spec) -> FrameCount {
        let nanos = i128::from(time.0) - i128::from(self.0);
        let frames = (nanos.max(0) * i128::from(spec.rate()) + NANOS - 1) / NANOS;
        FrameCount::new(u64::try_from(frames).unwrap_or(u64::MAX))
    }
    /// The first 00:00 UTC after this time.
    pub fn next_midnight(self) -> Self {
        const DAY: i64 = 86_400 * 1_000_000_000;
        Self((self.0.div_euclid(DAY) + 1).saturating_mul(DAY))
    }
}

impl fmt::Display for WallTime {
    /// RFC 3339 in UTC, with as many digits as needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(t) => t.fmt(f),
            Err(_) => write!(f, "{} ns", self.0),
        }
    }
}

impl FromStr for WallTime {
    type Err = MomentError;
    /// RFC 3339 with an offset or `Z`.
    fn from_str(s: &str) -> Result<Self, MomentError> {
        // In a query an unescaped '+' arrives as a space; 14:30:00 01:00 can mean only one thing.
        let text = match s.rsplit_once(' ') {
            Some((left, zone)) if left.contains(['T', 't']) => format!("{left}+{zone}"),
            _ => s.to_owned(),
        };
        let nanos = text.parse::<Timestamp>().ok().and_then(|t| i64::try_from(t.as_nanosecond()).ok());
        nanos.map(Self).ok_or_else(|| MomentError(s.chars().take(64).collect()))
    }
}

impl Serialize for WallTime {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where something is: so many recorded seconds from the start, or at a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Recorded seconds from frame 0. Gaps do not count.
    Position(Duration),
    /// A time of day. Inside a gap it means the first frame after it.
    TimeOfDay(WallTime),
}

/// Neither a number of seconds nor RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither seconds (12.5) nor a time of day with its offset (2026-11-20T14:30:00+01:00)")]
pub struct MomentError(String);

/// Parses seconds as a decimal number, exactly: up to 10 digits before the point and 9 after it.
pub fn parse_seconds(s: &str) -> Result<Duration, MomentError> {
    let bad = || MomentError(s.chars().take(64).collect());
    let (whole, fraction) = s.split_once('.').unwrap_or((s, ""));
    let digits = |t: &str, max: usize| t.len() <= max && t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole, 10) || !digits(fraction, 9) || s.ends_with('.') {
        return Err(bad());
    }
    let nanos = format!("{fraction:0<9}").parse().map_err(|_| bad())?;
    Ok(Duration::new(whole.parse().map_err(|_| bad())?, nanos))
}

impl FromStr for Moment {
    type Err = MomentError;
    fn from_str(s: &str) -> Result<Self, MomentError> {
        match parse_seconds(s) {
            Ok(d) => Ok(Self::Position(d)),
            Err(_) => s.parse().map(Self::TimeOfDay),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(d) => write!(f, "{} s", d.as_secs_f64()),
            Self::TimeOfDay(t) => t.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::SampleFormat;

    #[test]
    fn moments() {
        let seconds = |n| Ok(Moment::Position(Duration::from_millis(n)));
        assert_eq!("12.5".parse(), seconds(12_500));
        assert_eq!("0".parse(), seconds(0));
        let noon = "2026-11-20T12:00:00Z".parse::<Moment>();
        assert!(matches!(noon, Ok(Moment::TimeOfDay(_))));
        assert_eq!("2026-11-20T13:00:00+01:00".parse(), noon);
        assert_eq!("2026-11-20T13:00:00 01:00".parse(), noon, "a '+' that a query turned into a space");
        for bad in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "nan",
            "inf",
            "12:30",
            "2026-11-20T12:00:00",
            "99999999999",
            "0.0000000001",
            "１",
        ] {
            assert!(bad.parse::<Moment>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn time_and_frames_are_inverse() {
        for rate in [8_000, 11_025, 44_100, 48_000, 96_000, 192_000] {
            let spec = Spec::new(SampleFormat::S16, rate, 1).unwrap();
            let t0 = WallTime::from_unix_nanos(1_763_649_000_123_456_789);
            for n in [0, 1, 2, 3, 44_099, 1_000_003, 30 * 86_400 * u64::from(rate) + 1] {
                let n = FrameCount::new(n);
                assert_eq!(t0.frames_until(t0.after_frames(n, spec), spec), n);
            }
        }
    }

    #[test]
    fn midnight() {
        let t: WallTime = "2026-11-20T14:00:00Z".parse().unwrap();
        assert_eq!(t.next_midnight().to_string(), "2026-11-21T00:00:00Z");
        assert_eq!(t.next_midnight().next_midnight().to_string(), "2026-11-22T00:00:00Z");
    }
}
