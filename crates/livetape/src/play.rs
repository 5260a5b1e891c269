//! `livetape play`: a stream or a recording on a sound card, as a gateway serves it.

mod gateway;
mod program;

use anyhow::{Context, anyhow, ensure};
use gateway::Gateway;
use livetape_audio::{Moment, RecordingId, StreamName};
use livetape_capture::sources::device::{CardId, Cards, Speaker};
use program::Program;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long no audio may come: a gateway resets a body without audio after 30 s.
const SILENCE: Duration = Duration::from_secs(60);

/// Flags of `livetape play`.
#[derive(Debug, clap::Args)]
pub(crate) struct PlayArgs {
    /// Name of a stream, for what is live now, or id of a recording, from its beginning
    what: String,
    /// Where to begin: a time of day such as 2026-11-20T14:30:00Z
    #[arg(long, value_name = "TIME", conflicts_with_all = ["pos", "offset"])]
    at: Option<Moment>,
    /// Where to begin in a recording: recorded seconds from its beginning
    #[arg(long, value_name = "SECONDS", conflicts_with = "offset")]
    pos: Option<Moment>,
    /// How many seconds ago to begin in a stream
    #[arg(long, value_name = "SECONDS")]
    offset: Option<Moment>,
    /// Address of the gateway: http:// or https://
    #[arg(long, env = "LIVETAPE_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Authorities of the gateway's certificate, in PEM, for https:// [default: those of this machine]
    #[arg(long, env = "LIVETAPE_GATEWAY_CA", value_name = "FILE")]
    gateway_ca: Option<PathBuf>,
    /// Proves who listens, where the gateway wants to know
    #[arg(long, env = "LIVETAPE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Sound card to play on: `livetape devices` lists them
    #[arg(long, value_name = "ID", default_value = "default")]
    device: CardId,
    /// Frames of a block that the sound card takes at once [default: 50 ms of audio]
    #[arg(long, value_name = "FRAMES")]
    buffer_frames: Option<u32>,
}

/// Plays until the end of the recording, or until `stop`.
pub(crate) async fn run(args: PlayArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let heard = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&heard);
    let playing = tokio::task::spawn_blocking(move || play(&args, &counted));
    tokio::select! {
        played = playing => played?,
        () = stop.cancelled() => Ok(()),
        () = silence(&heard) => Err(anyhow!("no audio came for {} s: the gateway or the way to it is stuck", SILENCE.as_secs())),
    }
}

/// Waits until nothing comes any more.
async fn silence(heard: &AtomicU64) {
    let mut before = None;
    loop {
        let now = heard.load(Ordering::Relaxed);
        if before.replace(now) == Some(now) {
            return;
        }
        tokio::time::sleep(SILENCE).await;
    }
}

fn play(args: &PlayArgs, heard: &AtomicU64) -> anyhow::Result<()> {
    let gateway = Gateway::new(&args.url, args.token.clone(), args.gateway_ca.as_deref())?;
    let mut program = Program::begin(&gateway, &args.what, &target(args)?)?;
    let mut spec = program.spec();
    let mut speaker = Speaker::open(&Cards::default(), args.device.clone(), spec, args.buffer_frames)?;
    let plays = speaker.spec();
    let converted = if plays == spec { String::new() } else { format!(", converted to {plays}") };
    eprintln!("{}: {spec} on {}{converted}", args.what, args.device);
    while let Some(pcm) = program.next()? {
        heard.fetch_add(pcm.len() as u64, Ordering::Relaxed);
        if program.spec() != spec {
            spec = program.spec();
            speaker.turn_to(spec)?;
            eprintln!("{}: {spec} from here on", args.what);
        }
        speaker.play(&pcm)?;
    }
    let missing = speaker.finish()?;
    eprintln!(
        "{}: the end{}",
        args.what,
        if missing.is_zero() { String::new() } else { format!("; {missing:.2?} of audio came too late") }
    );
    Ok(())
}

/// Its address.
fn target(args: &PlayArgs) -> anyhow::Result<String> {
    let query = |name: &str, moment: &Option<Moment>| {
        let text = moment.as_ref().map(|moment| match moment {
            Moment::Position(d) => format!("{}.{:09}", d.as_secs(), d.subsec_nanos()),
            Moment::TimeOfDay(time) => time.to_string(),
        });
        text.map(|text| format!("?{name}={text}"))
    };
    if let Ok(id) = args.what.parse::<RecordingId>() {
        ensure!(args.offset.is_none(), "--offset is for streams: say where in the recording with --pos or --at");
        let query = query("pos", &args.at).or_else(|| query("pos", &args.pos)).unwrap_or_default();
        return Ok(format!("/recordings/{id}/audio.wav{query}"));
    }
    let stream: StreamName =
        args.what.parse().with_context(|| format!("{:?} is no stream and no recording", args.what))?;
    ensure!(args.pos.is_none(), "--pos is for recordings: say when in the stream with --at or --offset");
    let query = query("at", &args.at).or_else(|| query("offset", &args.offset)).unwrap_or_default();
    Ok(format!("/streams/{stream}/live.wav{query}"))
}
