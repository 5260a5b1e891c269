//! The real standard input of a real process. This test program starts itself again, as the child that reads.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that unwraps says all there is to say")]

use livetape_audio::{Frame, FrameCount};
use livetape_capture::sources::{Piece, Source, Stdin, process_stdin};
use livetape_testkit::counting;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Reads three pieces and returns, while the thread still waits for more.
#[test]
#[ignore = "run by the test below, with a pipe as its standard input"]
fn child() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut source = Stdin::open(process_stdin().unwrap(), counting::spec(8_000).unwrap()).await.unwrap();
        source.begin(Frame::ZERO);
        let mut at = Frame::new(100);
        for _ in 0..3 {
            let Some(Piece::Audio(chunk)) = source.next().await.unwrap() else { panic!("the source has ended") };
            counting::verify(&chunk.pcm, at).unwrap();
            at = at + FrameCount::new(160);
        }
        let more = tokio::time::timeout(Duration::from_millis(100), source.next()).await;
        assert!(more.is_err(), "nothing more was sent: {more:?}");
    });
}

#[test]
fn an_open_stdin_does_not_keep_the_process_from_stopping() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(&counting::encode(Frame::new(100), FrameCount::new(480))).unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
            panic!("the child hangs in its read");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "{status}");
    drop(pipe);
}
