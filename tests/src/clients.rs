//! curl, ffmpeg and ffprobe, with what they say.

use anyhow::{Context, Result};
use livetape_testkit::spawn;
use livetape_testkit::time_signal::{mono, tone_second};
use std::path::Path;
use std::time::Duration;

/// Longest run of a client that is not told to stop.
pub const LIMIT: Duration = Duration::from_secs(60);

/// What curl got.
#[derive(Debug)]
pub struct Fetched {
    /// Exit code of curl: 0 for a complete body, 18 for a cut one, 28 when its own time was over, 56 for a reset.
    pub code: i32,
    /// Status code of the reply; 0 when there was none.
    pub status: u16,
    /// Version of HTTP that was spoken: `HTTP/1.1`, `HTTP/2`.
    pub version: String,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long it took.
    pub took: Duration,
}

impl Fetched {
    /// A header field by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Runs curl on `url` with further arguments.
///
/// # Errors
/// When it cannot run.
pub fn curl(url: &str, args: &[&str]) -> Result<Fetched> {
    let folder = tempfile::tempdir()?;
    let (head, body) = (folder.path().join("head"), folder.path().join("body"));
    let mut command = spawn::command("curl");
    command.args(["--silent", "--show-error", "--noproxy", "*", "--dump-header"]).arg(&head).arg("--output").arg(&body);
    command.args(args).arg(url);
    let done = spawn::run(command, LIMIT)?;
    let head = std::fs::read_to_string(&head).unwrap_or_default();
    // The last block: one that begins with "100 Continue" or a redirect may come before.
    let block = head.trim_end().rsplit("\r\n\r\n").next().unwrap_or_default();
    let mut lines = block.split("\r\n");
    let mut status = lines.next().unwrap_or_default().split(' ');
    Ok(Fetched {
        code: done.code.context("curl was killed")?,
        version: status.next().unwrap_or_default().to_owned(),
        status: status.next().and_then(|s| s.parse().ok()).unwrap_or(0),
        headers: lines
            .filter_map(|l| l.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
        body: std::fs::read(&body).unwrap_or_default(),
        took: done.took,
    })
}

/// Runs `ffmpeg -v error` with `args` and a file `out.wav` as its last argument: 16-bit samples, 2 channels.
///
/// # Errors
/// When it fails, with what it said.
pub fn ffmpeg(args: &[&str]) -> Result<(Wav, spawn::Finished)> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out.wav");
    let mut command = spawn::command("ffmpeg");
    command.args(["-nostdin", "-v", "error"]).args(args).args(["-c:a", "pcm_s16le"]).arg(&out);
    let done = spawn::run(command, LIMIT)?.ok()?;
    Ok((Wav::read(&out)?, done))
}

/// Runs `ffprobe -v error` with `args`.
///
/// # Errors
/// When it fails, with what it said.
pub fn ffprobe(args: &[&str]) -> Result<spawn::Finished> {
    let mut command = spawn::command("ffprobe");
    command.args(["-v", "error"]).args(args);
    spawn::run(command, LIMIT)?.ok()
}

/// A WAV file that another program wrote.
#[derive(Debug)]
pub struct Wav {
    /// Shape of its audio.
    pub spec: livetape_audio::Spec,
    /// Its audio.
    pub pcm: Vec<u8>,
}

impl Wav {
    /// Reads it.
    ///
    /// # Errors
    /// When it is not a WAV.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("{} was not written", path.display()))?;
        let head = livetape_audio::wav_reader::read_head(&bytes)?.context("the header is not complete")?;
        let mut pcm = bytes[head.data_at..].to_vec();
        if let Some(len) = head.data_len {
            pcm.truncate(usize::try_from(len)?);
        }
        Ok(Self { spec: head.spec, pcm })
    }

    /// The tone's second (mod 100) that is heard `at` this time from the beginning of the file.
    ///
    /// # Errors
    /// When none is.
    pub fn second_at(&self, at: Duration) -> Result<u64> {
        let frame = |time| usize::try_from(self.spec.frames(time).get()).unwrap_or(usize::MAX);
        let samples = mono(&self.pcm, self.spec);
        let piece =
            samples.get(frame(at)..frame(at + Duration::from_millis(400))).context("the file ends before it")?;
        tone_second(piece, self.spec.rate()).map(u64::from).with_context(|| format!("no tone at {at:?}"))
    }

    /// The loudest sample, from 0 to 1.
    pub fn peak(&self) -> f32 {
        mono(&self.pcm, self.spec).iter().fold(0.0, |peak, s| s.abs().max(peak))
    }
}
