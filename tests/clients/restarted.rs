//! Commands that play from a place on and cannot be told anything more: ffmpeg and curl.

use crate::programs::Process;
use crate::scenario::{Opens, PATIENCE, Player};
use crate::titles::{Shown, by_curl, by_ffmpeg};
use anyhow::Result;
use livetape_testkit::card::{Card, RATE};
use livetape_testkit::spawn;
use livetape_tests::growing::{SECOND, WAV_HEADER};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Such a command: a seek is a new one.
struct Restarted<'a> {
    command: Box<dyn Fn(f64) -> Command + 'a>,
    card: &'a Card,
    process: Process,
}

impl<'a> Restarted<'a> {
    fn start(card: &'a Card, command: impl Fn(f64) -> Command + 'a) -> Result<Box<dyn Player + 'a>> {
        let process = Process::start(command(0.0), card)?;
        Ok(Box::new(Self { command: Box::new(command), card, process }))
    }
}

impl Player for Restarted<'_> {
    fn seek(&mut self, second: f64) -> Result<()> {
        let _ = self.process.0.kill();
        self.process.0.wait()?;
        self.card.quiet(PATIENCE)?;
        self.process = Process::start((self.command)(second), self.card)?;
        Ok(())
    }

    fn ended(&mut self) -> Result<bool> {
        self.process.ended()
    }
}

/// ffmpeg: the program, by its path.
pub(crate) struct Ffmpeg(pub(crate) PathBuf);

impl Opens for Ffmpeg {
    fn open<'a>(&'a self, url: &str, card: &'a Card) -> Result<Box<dyn Player + 'a>> {
        let url = url.to_owned();
        Restarted::start(card, move |second| {
            let mut command = spawn::command(&self.0);
            command.args(["-nostdin", "-v", "error"]);
            if second > 0.0 {
                command.args(["-ss", &second.to_string()]);
            }
            command.args(["-i", &url, "-f", "s16le", "-ar", &RATE.to_string(), "-ac", "2", "-y"]).arg(card.path());
            command
        })
    }

    fn is_misled(&self) -> bool {
        true
    }

    fn titles<'a>(&'a self, url: &'a str, _: &'a Card) -> Option<Result<Shown<'a>>> {
        Some(Ok(Box::new(|| by_ffmpeg(self.0.as_os_str(), url))))
    }

    fn copy(&self, url: &str, file: &Path) -> Option<(Command, u64)> {
        let mut command = spawn::command(&self.0);
        command.args(["-nostdin", "-v", "error", "-i", url, "-f", "s16le", "-c:a", "pcm_s16le", "-y"]).arg(file);
        Some((command, 0))
    }
}

/// curl, whose seek is a range.
pub(crate) struct Curl;

impl Opens for Curl {
    fn open<'a>(&'a self, url: &str, card: &'a Card) -> Result<Box<dyn Player + 'a>> {
        let url = url.to_owned();
        Restarted::start(card, move |second| {
            let mut command = spawn::command("curl");
            command.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--output"]).arg(card.path());
            if second > 0.0 {
                let first = WAV_HEADER + (second * f64::from(RATE)) as u64 * SECOND / u64::from(RATE);
                command.args(["--range", &format!("{first}-")]);
            }
            command.arg(&url);
            command
        })
    }

    fn titles<'a>(&'a self, url: &'a str, _: &'a Card) -> Option<Result<Shown<'a>>> {
        Some(Ok(Box::new(|| by_curl(url))))
    }

    fn copy(&self, url: &str, file: &Path) -> Option<(Command, u64)> {
        let mut command = spawn::command("curl");
        command.args(["--silent", "--fail", "--noproxy", "*", "--output"]).arg(file).arg(url);
        Some((command, WAV_HEADER))
    }

    fn long(&self) -> &'static str {
        "wav"
    }

    fn decodes(&self) -> bool {
        false
    }

    // The header of a WAV, which it does not know from audio, is loud.
    fn loudest(&self) -> f32 {
        1.0
    }
}
