//! `livetape play`: a stream or a recording on a sound card, as a gateway serves it.

use anyhow::{Context, anyhow, bail, ensure};
use livetape_audio::wav_reader::{self, WavHead};
use livetape_audio::{Moment, RecordingId, StreamName};
use livetape_capture::sources::device::{CardId, Cards, Speaker};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a connection and the head of an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long no audio may come: a gateway resets a body without audio after 30 s.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes of one read.
const BLOCK: usize = 16 * 1024;
/// Most bytes of an answer that is not audio.
const ANSWER: u64 = 64 * 1024;

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
    /// Address of the gateway
    #[arg(long, env = "LIVETAPE_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
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
    let mut body = open(args)?;
    let (head, mut pcm) = head(&mut body)?;
    let spec = head.spec;
    let mut speaker = Speaker::open(&Cards::default(), args.device.clone(), spec, args.buffer_frames)?;
    eprintln!("{}: {spec} on {}", args.what, args.device);
    let mut block = vec![0; BLOCK];
    loop {
        let whole = pcm.len() - pcm.len() % spec.frame_bytes() as usize;
        speaker.play(pcm.get(..whole).unwrap_or_default())?;
        pcm.drain(..whole);
        let n = body.read(&mut block).context("the gateway has broken off; play again to go on")?;
        if n == 0 {
            break;
        }
        heard.fetch_add(n as u64, Ordering::Relaxed);
        pcm.extend_from_slice(block.get(..n).unwrap_or_default());
    }
    let missing = speaker.finish()?;
    let missing = spec.duration(missing);
    eprintln!(
        "{}: the end{}",
        args.what,
        if missing.is_zero() { String::new() } else { format!("; {missing:.2?} of audio came too late") }
    );
    Ok(())
}

/// Asks the gateway for it.
fn open(args: &PlayArgs) -> anyhow::Result<impl Read + use<>> {
    let base = args.url.trim_end_matches('/');
    ensure!(base.starts_with("http://"), "gateway {base:?}: use http://HOST:PORT, for example http://127.0.0.1:8080");
    let url = format!("{base}{}", target(args)?);
    let config = ureq::Agent::config_builder()
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .http_status_as_error(false)
        .build();
    let mut request = config.new_agent().get(&url);
    if let Some(token) = &args.token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let answer = request.call().with_context(|| format!("{base} does not answer"))?;
    let status = answer.status();
    let body = answer.into_body();
    if status.as_u16() == 200 {
        return Ok(body.into_reader());
    }
    let mut said = Vec::new();
    body.into_reader().take(ANSWER).read_to_end(&mut said)?;
    let said: serde_json::Value = serde_json::from_slice(&said).unwrap_or_default();
    let said = said["error"].as_str().unwrap_or("no reason given");
    bail!("{}: {said} ({status})", args.what);
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

/// Reads the head of the WAV file, and what comes with it of the audio.
fn head(body: &mut impl Read) -> anyhow::Result<(WavHead, Vec<u8>)> {
    let (mut read, mut block) = (Vec::new(), vec![0; BLOCK]);
    loop {
        if let Some(head) = wav_reader::read_head(&read)? {
            let audio = read.split_off(head.data_at.min(read.len()));
            return Ok((head, audio));
        }
        let n = body.read(&mut block)?;
        ensure!(n > 0, "the gateway sent no audio");
        read.extend_from_slice(block.get(..n).unwrap_or_default());
    }
}
