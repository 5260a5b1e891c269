//! Players of other people on a recording that grows: `make clients`, which writes docs/players.md.
//!
//! Each player plays on a sound card of the testkit, and each thing that it is asked to do counts as done when the right
//! second is heard. Not in `make test`: it needs players that are large to install.

mod browsers;
mod programs;
mod report;
mod scenario;

use anyhow::{Context, Result};
use browsers::Element;
use livetape_testkit::card::Card;
use livetape_testkit::process::binary;
use livetape_testkit::spawn;
use livetape_testkit::webdriver::Browser;
use livetape_tests::tools::{project, recent_ffmpeg};
use programs::{Curl, Ffmpeg, GStreamer, Mpv, Vlc};
use report::{Deed, Excuses, Report};
use scenario::Opens;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Players at once: they mostly wait for audio to pass in real time.
const AT_ONCE: usize = 4;
const LIMIT: Duration = Duration::from_secs(60);

/// A kind of player.
struct Client {
    name: &'static str,
    version: fn() -> Result<String>,
    make: fn(&Card) -> Result<Box<dyn Opens>>,
    /// What is known not to work with it.
    excuses: Excuses,
}

const GSTREAMER: &str =
    "It seeks only in what has a length: open a part by `?pos=`, or what there is now by `?len=now`.";

const CLIENTS: [Client; 8] = [
    Client {
        name: "Chromium",
        version: || said(spawn::command("chromium"), "--version", "Chromium "),
        make: |card| Ok(Box::new(Element::of(Browser::chromium(card)?))),
        excuses: &[],
    },
    Client {
        name: "Firefox",
        version: || said(spawn::command("firefox-esr"), "--version", "Firefox "),
        make: |card| Ok(Box::new(Element::of(Browser::firefox(card)?))),
        excuses: &[(
            Deed::Long,
            "It takes no RF64, and a WAV to it ends where 32 bits do: open a part of it by `?pos=`.",
        )],
    },
    Client {
        name: "VLC",
        version: || said(spawn::unprivileged("vlc"), "--version", "VLC version "),
        make: |_| Ok(Box::new(Vlc)),
        excuses: &[(Deed::Far, "It takes the answer \"not there yet\" for the end of the file, and stops.")],
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
            (Deed::Seeks, GSTREAMER),
            (Deed::Beyond, GSTREAMER),
            (Deed::Ahead, GSTREAMER),
            (Deed::Far, GSTREAMER),
            (Deed::Long, GSTREAMER),
        ],
    },
    Client {
        name: "ffmpeg",
        version: || said(spawn::command("ffmpeg"), "-version", "ffmpeg version "),
        make: |_| Ok(Box::new(Ffmpeg("ffmpeg".into()))),
        excuses: &[],
    },
    Client {
        name: "ffmpeg",
        version: || said(spawn::command(recent_ffmpeg()?), "-version", "ffmpeg version "),
        make: |_| Ok(Box::new(Ffmpeg(recent_ffmpeg()?))),
        excuses: &[],
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

/// Lets a player do everything.
fn tried(client: &Client) -> Result<Report> {
    let card = Card::new()?;
    let mut report = Report::new(client.name, (client.version)()?, client.excuses);
    let opens = (client.make)(&card)?;
    let done = scenario::all(&mut report, &*opens, &card);
    if done.is_err() || !report.wrong().is_empty() {
        eprintln!("{} said: {}", client.name, std::fs::read_to_string(card.folder().join("log")).unwrap_or_default());
    }
    done?;
    Ok(report)
}

fn main() -> ExitCode {
    // A word chooses players by their name; Cargo adds flags of its own.
    let chosen = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let clients: Vec<&Client> = CLIENTS.iter().filter(|c| c.name.contains(&chosen)).collect();
    match run(&clients) {
        Ok(reports) => verdict(&reports, clients.len() == CLIENTS.len()),
        Err(error) => {
            eprintln!("clients: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// All of them, some at once, in the order of the list.
fn run(clients: &[&Client]) -> Result<Vec<Report>> {
    binary()?;
    let (next, reports) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((n, client)) = clients.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = tried(client).with_context(|| client.name);
                    reports.lock().expect("nobody panics with it").push((n, report));
                }
            });
        }
    });
    let mut reports = reports.into_inner().expect("nobody panicked with it");
    reports.sort_by_key(|(n, _)| *n);
    reports.into_iter().map(|(_, report)| report).collect()
}

/// Says what was wrong; the table is only written when all were asked.
fn verdict(reports: &[Report], all: bool) -> ExitCode {
    let wrong: Vec<String> = reports.iter().flat_map(Report::wrong).collect();
    for what in &wrong {
        eprintln!("WRONG {what}");
    }
    if all {
        match report::write(&project().join("docs/players.md"), reports) {
            Ok(true) => eprintln!("docs/players.md is another one now: look at it and commit it"),
            Ok(false) => {}
            Err(error) => {
                eprintln!("clients: {error:#}");
                return ExitCode::FAILURE;
            }
        }
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
