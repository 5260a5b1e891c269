use super::*;
use crate::sources::PIECE;
use livetape_audio::{Container, DataSize, SampleFormat};
use livetape_testkit::counting;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

fn spec() -> Spec {
    Spec::new(SampleFormat::S16, 8_000, 2).unwrap()
}

async fn open(bytes: Vec<u8>) -> Result<Stdin<io::Cursor<Vec<u8>>>, SourceError> {
    Stdin::open(io::Cursor::new(bytes), spec()).await
}

async fn play<R: AsyncRead + Unpin + Send + 'static>(source: &mut Stdin<R>) -> Vec<Chunk> {
    source.begin(Frame::ZERO);
    let mut chunks = Vec::new();
    while let Some(piece) = source.next().await.unwrap() {
        match piece {
            Piece::Audio(chunk) => chunks.push(chunk),
            other => panic!("{other:?}"),
        }
    }
    chunks
}

fn all(chunks: &[Chunk]) -> Vec<u8> {
    chunks.iter().flat_map(|c| c.pcm.iter().copied()).collect()
}

fn pcm(frames: u64) -> Vec<u8> {
    counting::encode(Frame::new(70_000), FrameCount::new(frames))
}

#[tokio::test]
async fn raw_pcm_is_paced_and_its_half_frame_dropped() {
    let start = Instant::now();
    let mut source = open([pcm(2_000), vec![1, 2, 3]].concat()).await.unwrap();
    let chunks = play(&mut source).await;
    assert_eq!(all(&chunks), pcm(2_000));
    assert!(start.elapsed() >= Duration::from_millis(230), "2000 frames are 250 ms: {:?}", start.elapsed());
    assert_eq!(chunks.len(), 13, "12 whole pieces and a half");
    for pair in chunks.windows(2) {
        assert!(pair[1].time.since(pair[0].time).abs_diff(PIECE) < Duration::from_millis(11));
    }
}

#[tokio::test]
async fn wav_brings_its_own_spec_and_length() {
    let own = Spec::new(SampleFormat::S24, 16_000, 1).unwrap();
    let audio: Vec<u8> = (0..3 * 1_000).map(|n| n as u8).collect();
    for container in [Container::Wav, Container::Rf64] {
        let known = container.header(own, DataSize::Known(FrameCount::new(1_000)));
        let mut source = open([&known[..], &audio, b"LIST\x04\0\0\0junk"].concat()).await.unwrap();
        assert_eq!(source.spec(), own);
        assert_eq!(all(&play(&mut source).await), audio, "what follows the audio is not audio");
        let growing = container.header(own, DataSize::Growing);
        let mut source = open([&growing[..], &audio].concat()).await.unwrap();
        assert_eq!(all(&play(&mut source).await), audio);
        // The head promises more than comes.
        let more = container.header(own, DataSize::Known(FrameCount::new(2_000)));
        let mut source = open([&more[..], &audio].concat()).await.unwrap();
        assert_eq!(all(&play(&mut source).await), audio);
    }
}

#[tokio::test]
async fn loudspeakers_are_those_of_the_head_or_else_what_was_said() {
    let plain = Spec::new(SampleFormat::S16, 8_000, 4).unwrap();
    let of = |layout: &str| plain.for_speakers(layout.parse().unwrap()).unwrap();
    let (quadro, other) = (of("FL+FR+BL+BR"), of("FL+FR+FC+BC"));
    for (head, said, due) in
        [(plain, quadro, quadro), (other, quadro, other), (quadro, spec(), quadro), (plain, spec(), plain)]
    {
        let wav = [Container::Wav.header(head, DataSize::Growing), vec![0; 800]].concat();
        assert_eq!(Stdin::open(io::Cursor::new(wav), said).await.unwrap().spec(), due);
    }
}

#[tokio::test]
async fn a_length_beyond_what_was_read_at_first_is_honoured() {
    let own = spec();
    let (reader, mut writer) = tokio::io::duplex(64);
    let head = Container::Wav.header(own, DataSize::Known(FrameCount::new(500)));
    let task = tokio::spawn(async move {
        let _ = writer.write_all(&[&head[..], &pcm(700)].concat()).await;
        // The sender stays: the length alone is the end.
        std::future::pending::<()>().await;
    });
    let mut source = Stdin::open(reader, own).await.unwrap();
    assert_eq!(all(&play(&mut source).await), pcm(500));
    task.abort();
}

#[tokio::test]
async fn what_is_not_audio_is_refused_with_advice() {
    let message = |bytes: Vec<u8>| async { open(bytes).await.map(|_| ()).unwrap_err().to_string() };
    let ogg = message([&b"OggS"[..], &[0; 100]].concat()).await;
    assert!(ogg.contains("Ogg") && ogg.contains("ffmpeg -i"), "{ogg}");
    assert!(message(b"#!/bin/sh\n".to_vec()).await.contains("text"));
    assert!(message(Vec::new()).await.contains("before any audio"));
    assert!(message(b"RIFF\x00\x00".to_vec()).await.contains("head"));
    let mut mp3_in_wav = Container::Wav.header(spec(), DataSize::Growing);
    mp3_in_wav[20] = 0x55;
    assert!(message(mp3_in_wav).await.contains("0x0055"));
    assert!(message(b"RIFF\0\0\0\0AVI LIST\0\0\0\0hdrlavih".to_vec()).await.contains("AVI"));
}

#[tokio::test]
async fn a_pause_is_waited_out_and_shows_in_the_times() {
    let (reader, mut writer) = tokio::io::duplex(1 << 16);
    let task = tokio::spawn(async move {
        writer.write_all(&pcm(320)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        writer.write_all(&counting::encode(Frame::new(70_320), FrameCount::new(160))).await.unwrap();
    });
    let mut source = Stdin::open(reader, spec()).await.unwrap();
    let chunks = play(&mut source).await;
    assert_eq!(all(&chunks), pcm(480));
    let pause = chunks[2].time.since(chunks[1].time);
    assert!(pause > Duration::from_millis(500) && pause < Duration::from_millis(900), "{pause:?}");
    task.await.unwrap();
}

#[tokio::test]
async fn calling_off_a_wait_loses_nothing() {
    let (reader, mut writer) = tokio::io::duplex(7);
    let task = tokio::spawn(async move { writer.write_all(&pcm(1_600)).await });
    let mut source = Stdin::open(reader, spec()).await.unwrap();
    source.begin(Frame::ZERO);
    let mut out = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_millis(3), source.next()).await {
            Err(_) => {}
            Ok(Ok(Some(Piece::Audio(chunk)))) => out.extend_from_slice(&chunk.pcm),
            Ok(Ok(None)) => break,
            Ok(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(out, pcm(1_600));
    task.await.unwrap().unwrap();
}
