//! What it costs to encode a recording: a gateway, whose blocks are each made alone, against the same library in one go over
//! the same audio, in a process of its own.

use anyhow::{Context, Result, ensure};
use livetape_audio::{Frame, FrameCount, Spec};
use livetape_codec::decode::{Decoder, Input};
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::http::{self, Ending};
use livetape_tests::bench::floors::{Floor, encode};
use livetape_tests::bench::spread::Runs;
use livetape_tests::bench::table::Table;
use livetape_tests::bench::{introduce, usage};
use livetape_tests::growing::Growing;
use livetape_tests::{bench, torture};
use std::f64::consts::TAU;
use std::time::Duration;

const LENGTH: Duration = Duration::from_secs(60);
/// Patience on a machine that is busy with other things: what is measured is the processor time of processes, not this.
const PATIENCE: Duration = Duration::from_secs(300);

fn main() -> Result<()> {
    bench::main(measure)
}

/// A chord that swells, another in the other channel, and some noise: no encoder finds it easy.
fn music(first: Frame, count: FrameCount, spec: Spec) -> Vec<u8> {
    let sample = |n: u64, root: f64| {
        let at = n as f64 / f64::from(spec.rate());
        let chord: f64 = [1.0, 1.26, 1.5, 3.02].iter().map(|ratio| (TAU * root * ratio * at).sin()).sum();
        let noise = (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / f64::from(1 << 23) - 1.0;
        let loud = chord * 0.12 * (1.2 + (TAU * 0.4 * at).sin()) + noise * 0.02;
        ((loud * f64::from(i16::MAX)) as i16).to_le_bytes()
    };
    let frames = first.get()..first.get() + count.get();
    frames.flat_map(|n| [sample(n, 220.0), sample(n, 330.3)].concat()).collect()
}

/// Checks what came of the frames from `first` on: the same bytes again, and audio when they are decoded, FLAC's bit by bit.
fn check(name: &str, body: &[u8], again: &[u8], first: Frame, end: Frame) -> Result<()> {
    ensure!(body == again, "{name}: other bytes the second time");
    let extension = name.split('-').next();
    let mut decoder = Decoder::open(Input::bytes(body.to_vec()), extension)?;
    let mut heard = Vec::new();
    while let Some(block) = decoder.next()? {
        heard.extend_from_slice(block.samples);
    }
    let (frames, count) = (heard.len() as u64 / 2, end.since(first));
    // Encoders fill their last block, and decoders leave out what the first one begins with.
    ensure!(frames.abs_diff(count.get()) < 48_000, "{name}: {frames} of {count} frames");
    if name == "flac" {
        let pcm = music(first, count, stereo());
        let right = pcm.as_chunks().0.iter().map(|sample| f64::from(i16::from_le_bytes(*sample)) / 32_768.0);
        ensure!(frames == count.get() && right.eq(heard), "{name}: not the samples that were recorded");
    }
    Ok(())
}

/// How much a process grows, from now on.
struct Grown {
    pid: u32,
    before: u64,
}

impl Grown {
    fn of(pid: u32) -> Result<Self> {
        usage::forget_peak(pid)?;
        Ok(Self { pid, before: usage::resident(pid)? })
    }

    /// To the most that it had since then, in MiB.
    fn mib(&self) -> Result<String> {
        Ok(format!("{:.1}", usage::peak(self.pid)?.saturating_sub(self.before) as f64 / 1024.0))
    }
}

fn measure() -> Result<()> {
    introduce()?;
    let g = Growing::start(music, LENGTH)?;
    let end = g.pusher.end(PATIENCE)?;
    let seconds = stereo().duration(end.since(Frame::ZERO)).as_secs_f64();
    let folder = g.data().join("live").join(&g.id);
    let file = folder.join(format!("{:020}.pcm", 0));
    let rounds = torture::setting("LIVETAPE_ROUNDS", 3);
    let get = |target: &str| -> Result<(Vec<u8>, Frame)> {
        let mut reply = http::get(g.livetape.http(), target).send()?;
        let first = reply.header("x-livetape-first-frame").context("where it begins")?.parse()?;
        let (body, ending) = reply.to_end(PATIENCE)?;
        ensure!(ending == Ending::Clean, "{target} was cut after {} bytes", body.len());
        Ok((body, Frame::new(first)))
    };
    let heads =
        ["", "livetape, ms for each second of audio", "bare encoder", "ratio", "livetape grew by MiB", "bare encoder"];
    let mut table = Table::new(&heads);
    for (name, address) in [
        ("mp3-128", "audio.mp3?bitrate=128"),
        ("mp3-320", "audio.mp3?bitrate=320"),
        ("opus-96", "audio.opus?bitrate=96"),
        ("flac", "audio.flac?ch=1,2"),
    ] {
        let bare = Floor::start(["encode".as_ref(), name.as_ref(), file.as_os_str()])?;
        let (mut ours, mut its) = (Runs::default(), Runs::default());
        let (grown, its_grown) = (Grown::of(g.livetape.pid())?, Grown::of(bare.pid())?);
        for round in 0..rounds {
            // From another place on each time: what was encoded before is kept.
            let target = format!("/recordings/{}/{address}&pos=0.{:02}", g.id, round + 1);
            let cost = |pid| usage::cpu(pid).map(|cpu| cpu.as_secs_f64() * 1e3 / seconds);
            let before = cost(g.livetape.pid())?;
            let (body, first) = get(&target)?;
            ours.push(cost(g.livetape.pid())? - before);
            let got = body.len() as u64;
            check(name, &body, &get(&target)?.0, first, end)?;
            let before = cost(bare.pid())?;
            let made = encode::once(bare.address()).context(name)?;
            its.push(cost(bare.pid())? - before);
            // The last block of one that goes on is a whole one.
            ensure!(got > made / 2 && got < made * 2, "{got} bytes came, and {made} from the bare encoder");
        }
        let ratio = format!("{:.2}", ours.ratio(&its));
        table.row([name.to_owned(), ours.to_string(), its.to_string(), ratio, grown.mib()?, its_grown.mib()?]);
    }
    println!("\n{seconds:.0} s of 48 kHz stereo, median (least to most) of {rounds} rounds in turns");
    table.print();
    g.livetape.stop()
}
