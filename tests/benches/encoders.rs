//! What it costs to encode a recording: a gateway, whose blocks are each made alone, against the same library in one go over
//! the same audio, in a process of its own.

use anyhow::{Context, Result, ensure};
use livetape_audio::{Frame, FrameCount, Spec};
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::http;
use livetape_tests::bench::floors::{Floor, encode};
use livetape_tests::bench::spread::Runs;
use livetape_tests::bench::table::Table;
use livetape_tests::bench::{introduce, usage};
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::{bench, torture};
use std::f64::consts::TAU;
use std::time::Duration;

const LENGTH: Duration = Duration::from_secs(60);

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

fn measure() -> Result<()> {
    introduce()?;
    let g = Growing::start(music, LENGTH)?;
    let end = g.pusher.end(SOON)?;
    let seconds = stereo().duration(end.since(Frame::ZERO)).as_secs_f64();
    let folder = g.data().join("live").join(&g.id);
    let file = folder.join(format!("{:020}.pcm", 0));
    let rounds = torture::setting("LIVETAPE_ROUNDS", 3);
    let mut table = Table::new(&["", "livetape, ms for each second of audio", "bare encoder", "ratio"]);
    for (name, address) in [
        ("mp3-128", "audio.mp3?bitrate=128"),
        ("mp3-320", "audio.mp3?bitrate=320"),
        ("opus-96", "audio.opus?bitrate=96"),
        ("flac", "audio.flac?ch=1,2"),
    ] {
        let bare = Floor::start(["encode".as_ref(), name.as_ref(), file.as_os_str()])?;
        let (mut ours, mut its) = (Runs::default(), Runs::default());
        for round in 0..rounds {
            // From another place on each time: what was encoded before is kept.
            let target = format!("/recordings/{}/{address}&pos=0.{:02}", g.id, round + 1);
            let cost = |pid| usage::cpu(pid).map(|cpu| cpu.as_secs_f64() * 1e3 / seconds);
            let before = cost(g.livetape.pid())?;
            let got = http::get(g.livetape.http(), &target).send()?.body()?.len() as u64;
            ours.push(cost(g.livetape.pid())? - before);
            let before = cost(bare.pid())?;
            let made = encode::once(bare.address()).context(name)?;
            its.push(cost(bare.pid())? - before);
            // The last block of one that goes on is a whole one.
            ensure!(got > made / 2 && got < made * 2, "{got} bytes came, and {made} from the bare encoder");
        }
        table.row([name.to_owned(), ours.to_string(), its.to_string(), format!("{:.2}", ours.ratio(&its))]);
    }
    println!("\n{seconds:.0} s of 48 kHz stereo, median (least to most) of {rounds} rounds in turns");
    table.print();
    g.livetape.stop()
}
