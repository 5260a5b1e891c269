//! Players of other people on a recording that grows: `make clients`, which writes docs/players.md.
//!
//! Each player plays on a sound card of the testkit, and each thing that it is asked to do counts as done when the right
//! second is heard. Not in `make test`: it needs players that are large to install.

mod browsers;
mod compressed;
mod deed;
mod lengths;
mod programs;
mod report;
mod restarted;
mod scenario;
mod titles;

use anyhow::{Context, Result};
use browsers::Element;
use deed::{Deed, Kind};
use livetape_testkit::card::Card;
use livetape_testkit::process::binary;
use livetape_testkit::spawn;
use livetape_testkit::webdriver::Browser;
use livetape_tests::tools::{project, recent_ffmpeg};
use programs::{GStreamer, Mpv, Vlc};
use report::{Excuse, Excuses, Page, Report};
use restarted::{Curl, Ffmpeg};
use scenario::Opens;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Players at once: they mostly wait for audio to pass in real time.
const AT_ONCE: usize = 8;
const LIMIT: Duration = Duration::from_secs(60);

/// A kind of player.
struct Client {
    name: &'static str,
    version: fn() -> Result<String>,
    make: fn(&Card) -> Result<Box<dyn Opens>>,
    /// What is known not to work with it.
    excuses: Excuses,
}

/// What ffmpeg does with Ogg for which it is told no length.
const FFMPEG: Excuses = &[Excuse {
    deed: Deed::Seeks(Kind::Opus),
    how: "after a seek to 20: second 20",
    why: "It begins about a second after the place that it is told (`-ss`): use `?pos=`, or `?len=now`.",
}];

/// What GStreamer says of all that grows.
const fn no_length(deed: Deed) -> Excuse {
    let why = "It seeks only in what has a length: open a part by `?pos=`, or what there is now by `?len=now`.";
    Excuse { deed, how: "not seekable", why }
}

const CLIENTS: [Client; 8] = [
    Client {
        name: "Chromium",
        version: || said(spawn::command("chromium"), "--version", "Chromium "),
        make: |card| Ok(Box::new(Element::of(Browser::chromium(card)?, false))),
        excuses: &[],
    },
    Client {
        name: "Firefox",
        version: || said(spawn::command("firefox-esr"), "--version", "Firefox "),
        make: |card| Ok(Box::new(Element::of(Browser::firefox(card)?, true))),
        excuses: &[Excuse {
            deed: Deed::Long,
            how: "after a seek to 23005",
            why: "It takes no RF64, and a WAV to it ends where 32 bits do: open a part of it by `?pos=`.",
        }],
    },
    Client {
        name: "VLC",
        version: || said(spawn::unprivileged("vlc"), "--version", "VLC version "),
        make: |_| Ok(Box::new(Vlc)),
        excuses: &[
            Excuse {
                deed: Deed::Far,
                how: "after a seek to 30",
                why: "It takes the answer \"not there yet\" for the end of the file, and stops.",
            },
            Excuse {
                deed: Deed::Seeks(Kind::Opus),
                how: "after a seek to ",
                why: "It does not go back in Ogg that grows: open a part by `?pos=`, or what there is now by `?len=now`.",
            },
        ],
    },
    Client {
        name: "mpv",
        version: || said(spawn::command("mpv"), "--version", "mpv "),
        make: |_| Ok(Box::new(Mpv)),
        excuses: &[],
    },
    Client {
        name: "GStreamer",
        version: || said(spawn::command("gst-launch-1.0"), "--version", "gst-launch-1.0 version "),
        make: |_| Ok(Box::new(GStreamer)),
        excuses: &[
            no_length(Deed::Seeks(Kind::Wav)),
            no_length(Deed::Beyond),
            no_length(Deed::Ahead),
            no_length(Deed::Far),
            no_length(Deed::Long),
            no_length(Deed::Seeks(Kind::Mp3)),
            no_length(Deed::Seeks(Kind::Opus)),
        ],
    },
    Client {
        name: "ffmpeg",
        version: || said(spawn::command("ffmpeg"), "-version", "ffmpeg version "),
        make: |_| Ok(Box::new(Ffmpeg("ffmpeg".into()))),
        excuses: FFMPEG,
    },
    Client {
        name: "ffmpeg",
        version: || said(spawn::command(recent_ffmpeg()?), "-version", "ffmpeg version "),
        make: |_| Ok(Box::new(Ffmpeg(recent_ffmpeg()?))),
        excuses: FFMPEG,
    },
    Client {
        name: "curl",
        version: || said(spawn::command("curl"), "--version", "curl "),
        make: |_| Ok(Box::new(Curl)),
        excuses: &[],
    },
];

/// The number after `before` in what a program says of itself.
fn said(mut program: std::process::Command, flag: &str, before: &str) -> Result<String> {
    let done = spawn::run(
        {
            program.arg(flag);
            program
        },
        LIMIT,
    )?;
    let text = done.text();
    let (_, after) = text.split_once(before).with_context(|| format!("{text}{}", done.stderr))?;
    let number = |c: &char| c.is_ascii_digit() || *c == '.';
    Ok(after.chars().skip_while(|c| !number(c)).take_while(number).collect())
}

/// Lets a player do everything, or one part of it; anew, with another one, if it could not go on.
fn tried(client: &Client, part: &str) -> Result<Report> {
    attempt(client, part).or_else(|error| {
        eprintln!("AGAIN {}: {error:#}", client.name);
        attempt(client, part)
    })
}

fn attempt(client: &Client, part: &str) -> Result<Report> {
    let card = Card::new()?;
    let mut report = Report::new(client.name, (client.version)()?, client.excuses);
    let opens = (client.make)(&card)?;
    let done = scenario::all(&mut report, &*opens, &card, part);
    if done.is_err() || !report.wrong().is_empty() {
        eprintln!("{} said: {}", client.name, std::fs::read_to_string(card.folder().join("log")).unwrap_or_default());
    }
    done?;
    Ok(report)
}

fn main() -> ExitCode {
    // A word chooses players by their name, a second one what they do; Cargo adds flags of its own.
    let mut words = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    let (chosen, part) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let clients: Vec<&Client> = CLIENTS.iter().filter(|c| c.name.contains(&chosen)).collect();
    match report::check().and_then(|()| run(&clients, &part)) {
        Ok(reports) => verdict(&reports, clients.len() == CLIENTS.len() && part.is_empty()),
        Err(error) => {
            eprintln!("clients: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// All of them, some at once, in the order of the list.
fn run(clients: &[&Client], part: &str) -> Result<Vec<Report>> {
    binary()?;
    let (next, reports) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((n, client)) = clients.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = tried(client, part).with_context(|| client.name);
                    reports.lock().expect("nobody panics with it").push((n, report));
                }
            });
        }
    });
    let mut reports = reports.into_inner().expect("nobody panicked with it");
    reports.sort_by_key(|(n, _)| *n);
    reports.into_iter().map(|(_, report)| report).collect()
}

/// Says what was wrong; the tables are only written when all were asked. That they say something else than before is said
/// aloud: somebody has to look.
fn verdict(reports: &[Report], all: bool) -> ExitCode {
    let wrong: Vec<String> = reports.iter().flat_map(Report::wrong).collect();
    for what in &wrong {
        eprintln!("WRONG {what}");
    }
    if all {
        match report::write(&project().join("docs/players.md"), reports) {
            Ok(Page::Same) => {}
            Ok(Page::OtherVersions) => eprintln!("docs/players.md names other versions now; what was seen is the same"),
            Ok(Page::Other(lines)) => {
                lines.iter().for_each(|line| eprintln!("NEW {line}"));
                eprintln!("CHANGED docs/players.md says something else now: look at it (git diff), say why, commit it");
            }
            Err(error) => {
                eprintln!("clients: {error:#}");
                return ExitCode::FAILURE;
            }
        }
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
