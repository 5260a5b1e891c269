//! `livetape record`: one source into a stream of a recorder that runs, with its level before one's eyes.

mod show;

use crate::role;
use crate::settings::capture::SourceFlags;
use crate::settings::{FileFlag, RecorderUrlFlag};
use crate::when::clock;
use anyhow::{Context, bail};
use livetape_audio::{StreamName, Title};
use livetape_capture::meter::Meter;
use livetape_capture::{Capture, CaptureConfig, SourceSpec, Status, Timing};
use show::Show;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// When stopping: how long what was captured may take to become durable.
const FLUSH: Duration = Duration::from_secs(30);

/// Flags of `livetape record`.
#[derive(Debug, clap::Args)]
pub(crate) struct RecordArgs {
    /// What to record: file:PATH, device:ID, stdin, or one of the generators
    source: SourceSpec,
    /// Name of the stream that it goes to
    #[arg(long, value_name = "NAME", default_value = "live")]
    stream: StreamName,
    /// What people see instead of the name
    #[arg(long, value_name = "TEXT")]
    title: Option<Title>,
    #[command(flatten)]
    how: SourceFlags,
    #[command(flatten)]
    recorder: RecorderUrlFlag,
    /// Where the recorder's gateway listens, to say where the recording can be heard [default: 127.0.0.1:8080]
    #[arg(long, env = "LIVETAPE_HTTP_ADDR", value_name = "ADDR")]
    http_addr: Option<SocketAddr>,
    #[command(flatten)]
    file: FileFlag,
}

/// Records until `stop`, or until the source has ended by itself.
pub(crate) async fn run(args: RecordArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let file = args.file.load()?;
    if args.source == SourceSpec::None {
        bail!("there is nothing to record from source none: file:PATH, device:ID, stdin or a generator is needed");
    }
    let meter = Meter::default();
    let mut source = args.how.one(args.stream.clone(), args.source, args.title.unwrap_or_default())?;
    (source.meter, source.ends) = (Some(meter.clone()), true);
    let timing = Timing { flush: FLUSH, ..Timing::default() };
    let recorder = args.recorder.address(&file)?;
    let url = recorder.url().to_owned();
    let capture = CaptureConfig { timing, ..CaptureConfig::new(recorder, vec![source]) };
    let capture = args.how.keeping(capture, &file)?;
    let capture = Capture::bind(capture).await?;
    let (_, status) = capture.statuses().pop().context("one source has one status")?;

    let mut show = Show::new(args.stream, url.clone(), meter, std::io::stderr().is_terminal());
    let mut running = std::pin::pin!(capture.run(stop.clone()));
    let outcome = loop {
        tokio::select! {
            outcome = &mut running => break outcome,
            () = show.due() => show.draw(&status.borrow(), stop.is_cancelled()),
        }
    };
    show.end(&status.borrow());
    let status = *status.borrow();
    let said = summary(&status, &role::url(args.http_addr.unwrap_or(file.http_addr())));
    std::io::stdout().write_all(said.as_bytes())?;
    outcome?;
    judge(&status, &url)
}

/// What was recorded, for people and for programs that started this one.
fn summary(status: &Status, gateway: &str) -> String {
    let (Some(recording), Some(spec)) = (status.recording, status.spec) else { return String::new() };
    if status.acknowledged.is_zero() {
        return String::new();
    }
    let length = clock(spec.duration(status.acknowledged));
    format!("Recording: {recording}\nDuration: {length}\nListen: {gateway}/recordings/{recording}/audio.wav\n")
}

/// Ending without having everything recorded is a failure.
fn judge(status: &Status, url: &str) -> anyhow::Result<()> {
    let Some(spec) = status.spec else {
        bail!("nothing was recorded: no audio came, or no recorder answered at {url}")
    };
    let (waiting, lost) = (spec.duration(status.waiting()), spec.duration(status.given_up));
    if status.recording.is_none() {
        bail!("nothing was recorded: no recorder answers at {url}; is it started, livetape run?");
    }
    if !waiting.is_zero() && status.spooled == status.waiting() {
        bail!("{waiting:?} of audio are still in the spool: start again with the same --spool-dir to deliver them");
    }
    if !waiting.is_zero() || !lost.is_zero() {
        bail!("the recorder has not acknowledged everything: {:?} of audio are lost", waiting + lost);
    }
    Ok(())
}
