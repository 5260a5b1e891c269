//! What a person sees while something is recorded: on a terminal one line that is drawn anew ten times a second, elsewhere
//! a line every ten seconds.

use crate::when::clock;
use indicatif::{ProgressBar, ProgressStyle};
use livetape_audio::{FrameCount, StreamName};
use livetape_capture::meter::{Level, Loudness, Meter};
use livetape_capture::{CardStatus, Status};
use std::io::Write;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};

const DRAW: Duration = Duration::from_millis(100);
const SAY: Duration = Duration::from_secs(10);
/// Cells of a bar, and what its left end stands for.
const CELLS: usize = 10;
const FLOOR: f64 = -60.0;
/// From here on a bar is yellow, and red.
const WARM: f64 = -12.0;
const HOT: f64 = -3.0;
/// More channels than this are not shown by themselves.
const CHANNELS: usize = 2;

pub(super) struct Show {
    stream: StreamName,
    url: String,
    meter: Meter,
    ticks: Interval,
    /// On a terminal.
    line: Option<ProgressBar>,
    colours: bool,
    clipped: u64,
}

impl Show {
    /// Its look, `terminal` where there is one.
    pub(super) fn new(stream: StreamName, url: String, meter: Meter, terminal: bool) -> Self {
        let mut ticks = interval(if terminal { DRAW } else { SAY });
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // The first tick comes at once, when there is nothing to say.
        ticks.reset();
        let plain = ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let line = terminal.then(|| ProgressBar::new_spinner().with_style(plain));
        // https://no-color.org: set and not empty.
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { stream, url, meter, ticks, line, colours, clipped: 0 }
    }

    /// Waits until it is time to draw.
    pub(super) async fn due(&mut self) {
        self.ticks.tick().await;
    }

    /// Shows how it stands.
    pub(super) fn draw(&mut self, status: &Status, stopping: bool) {
        let level = self.meter.take();
        self.clipped += level.channels.iter().map(|channel| channel.clipped).sum::<u64>();
        match &self.line {
            Some(line) => {
                line.set_message(self.on_terminal(status, &level, stopping));
                line.tick();
            }
            None => say(&self.plain(status, &level, stopping)),
        }
    }

    /// The last look, for logs; a terminal's line goes.
    pub(super) fn end(&mut self, status: &Status) {
        match self.line.take() {
            Some(line) => line.finish_and_clear(),
            None => {
                let level = self.meter.take();
                self.clipped += level.channels.iter().map(|channel| channel.clipped).sum::<u64>();
                say(&self.plain(status, &level, true));
            }
        }
    }

    fn state(&self, status: &Status, stopping: bool) -> String {
        match (status.connected, status.spec) {
            _ if stopping => "stopping".into(),
            _ if is_away(status) => "the sound card is away: it is looked for".into(),
            (true, _) => "recording".into(),
            (false, None) => "waiting for the source".into(),
            (false, Some(_)) => format!("no recorder at {}", self.url),
        }
    }

    fn plain(&self, status: &Status, level: &Level, stopping: bool) -> String {
        let dbs = |of: &dyn Fn(&Loudness) -> f64| {
            level.channels.iter().map(|channel| db(of(channel))).collect::<Vec<_>>().join(" ")
        };
        format!(
            "{}: {}; {}; peak {} dB, RMS {} dB, clipped {}",
            self.stream,
            self.state(status, stopping),
            amounts(status),
            dbs(&|channel| channel.peak),
            dbs(&|channel| level.rms(channel)),
            self.clipped
        )
    }

    fn on_terminal(&self, status: &Status, level: &Level, stopping: bool) -> String {
        let (dot, colour) = if status.connected { ("●", 31) } else { ("○", 33) };
        let mut meters = String::new();
        let mut channels: Vec<_> = level.channels.iter().collect();
        if channels.len() > CHANNELS {
            channels.sort_by(|a, b| b.peak.total_cmp(&a.peak));
            channels.truncate(1);
        }
        for channel in channels {
            meters += &format!("{} {:>5} ", self.bar(level.rms(channel), channel.peak), db(channel.peak));
        }
        if self.clipped > 0 {
            meters += &self.paint(41, &format!(" CLIP {} ", self.clipped));
            meters += " ";
        }
        let begin = format!("{} {} ", self.paint(colour, dot), self.stream);
        let (amounts, state) = (amounts(status), self.paint(33, &self.state(status, stopping)));
        // What does not fit into the window is cut off at the right: what matters most goes first.
        match stopping || !status.connected || is_away(status) {
            true => format!("{begin}{amounts}  {state}  {meters}"),
            false if !status.spooled.is_zero() => format!("{begin}{amounts}  {meters}"),
            false => format!("{begin}{meters}{amounts}"),
        }
    }

    /// RMS as a bar, with a mark at the peak.
    fn bar(&self, rms: f64, peak: f64) -> String {
        let cell = |value: f64| ((decibel(value) - FLOOR) / -FLOOR * CELLS as f64).clamp(0.0, CELLS as f64) as usize;
        let (full, mark) = (cell(rms), cell(peak).saturating_sub(1));
        let cells = (0..CELLS).map(|n| {
            let loudness = FLOOR - FLOOR * (n + 1) as f64 / CELLS as f64;
            let colour = if loudness > HOT {
                31
            } else if loudness > WARM {
                33
            } else {
                32
            };
            match n {
                n if n < full => self.paint(colour, "█"),
                n if n == mark && peak > 0.0 => self.paint(colour, "▏"),
                _ => "·".into(),
            }
        });
        cells.collect()
    }

    fn paint(&self, colour: u8, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.into() }
    }
}

/// How much there is, and where it is.
fn amounts(status: &Status) -> String {
    let Some(spec) = status.spec else { return "nothing captured yet".into() };
    let time = |frames: FrameCount| spec.duration(frames);
    let mut text = format!(
        "captured {} durable {} waiting {:.1} s",
        clock(time(status.captured)),
        clock(time(status.acknowledged)),
        time(status.waiting()).as_secs_f64()
    );
    for (what, frames) in [("spooled", status.spooled), ("lost", status.given_up + status.missed)] {
        if !frames.is_zero() {
            text += &format!(" {what} {:.1} s", time(frames).as_secs_f64());
        }
    }
    text + &status.card.map(|card| of_card(&card)).unwrap_or_default()
}

fn is_away(status: &Status) -> bool {
    status.card.is_some_and(|card| !card.present)
}

/// What there is to say of a sound card: how often it was read too late and went away, and how its clock runs.
fn of_card(card: &CardStatus) -> String {
    let mut text = String::new();
    for (what, times) in [("xruns", card.xruns), ("absences", card.losses)] {
        if times > 0 {
            text += &format!(" {what} {times}");
        }
    }
    text + &card.drift.map(|drift| format!(" drift {drift}")).unwrap_or_default()
}

fn decibel(value: f64) -> f64 {
    20.0 * value.log10()
}

/// `-12.3`, and `-inf` for silence.
fn db(value: f64) -> String {
    if value > 0.0 { format!("{:.1}", decibel(value)) } else { "-inf".into() }
}

/// Nobody may be there to read it.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::{SampleFormat, Spec};
    use livetape_capture::drift::Drift;

    #[tokio::test]
    async fn a_sound_card_says_how_it_is_doing() {
        let spec = Spec::new(SampleFormat::S16, 48_000, 2).unwrap();
        let mut status = Status {
            connected: true,
            spec: Some(spec),
            captured: FrameCount::new(960_000),
            acknowledged: FrameCount::new(960_000),
            card: Some(CardStatus { present: true, ..CardStatus::default() }),
            ..Status::default()
        };
        let show = Show::new("a".parse().unwrap(), "http://recorder".into(), Meter::default(), false);
        let said = |status: &Status| {
            let (line, plain) =
                (show.on_terminal(status, &Level::default(), false), show.plain(status, &Level::default(), false));
            assert!(line.contains(&amounts(status)) && plain.contains(&amounts(status)), "{line}\n{plain}");
            (line, plain)
        };
        assert_eq!(amounts(&status), "captured 0:20 durable 0:20 waiting 0.0 s", "nothing is wrong");
        assert!(said(&status).1.contains("a: recording; "));
        status.card = Some(CardStatus { present: false, drift: Some(Drift::from_ppm(-12.34)), xruns: 3, losses: 1 });
        assert!(amounts(&status).ends_with("waiting 0.0 s xruns 3 absences 1 drift -12.3 ppm"));
        let (line, plain) = said(&status);
        assert!(line.contains("sound card is away") && plain.contains("sound card is away"), "{line}\n{plain}");
    }
}
