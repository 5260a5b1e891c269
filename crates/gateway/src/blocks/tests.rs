use super::*;
use crate::metrics;
use futures::poll;
use livetape_audio::SampleFormat;
use std::pin::pin;
use std::sync::mpsc;
use tokio::time::{sleep, timeout};

const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn key(number: u64) -> Key {
    let spec = Spec::new(SampleFormat::S16, 48_000, 2).unwrap();
    let rendition = Compressed::Flac(Flac::new(spec, None).unwrap());
    Key { recording: RecordingId::new(1, &[7; 10]), rendition, origin: Frame::ZERO, number, end: None }
}

async fn silence() -> Result<Vec<u8>, ReadError> {
    Ok(vec![0; Flac::BLOCK as usize * 4])
}

fn blocks() -> (Blocks, impl Fn() -> String) {
    let instruments = metrics::Instruments::new().unwrap();
    let blocks = Blocks::new(8, instruments.encoding.clone());
    let series = "livetape_gateway_encoded_blocks_total{codec=\"flac\"} ";
    (blocks, move || {
        let text = instruments.metrics.text();
        text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or("0").to_owned()
    })
}

#[tokio::test]
async fn a_listener_does_not_wait_where_downloads_queue() {
    let (blocks, count) = blocks();
    let all = u32::try_from(blocks.turns.not_live.available_permits()).unwrap();
    let _busy = blocks.turns.not_live.acquire_many(all).await.unwrap();
    let (first, second) = (blocks.kept.want(key(0)), blocks.kept.want(key(0)));
    let mut download = pin!(blocks.made(&first, false, silence()));
    assert!(poll!(&mut download).is_pending());
    let heard =
        timeout(LIMIT, blocks.made(&second, true, silence())).await.expect("it waits for the download").unwrap();
    // Whoever waited has the same, although its turn has not come.
    assert_eq!(timeout(LIMIT, download).await.unwrap().unwrap(), heard);
    assert_eq!((count().as_str(), blocks.turns.downloads()), ("1", 0));
}

#[tokio::test]
async fn all_who_listen_and_download_have_one_encoding() {
    let (blocks, count) = blocks();
    for number in 0..8 {
        let wanted: Vec<_> = (0..16).map(|_| blocks.kept.want(key(number))).collect();
        let all = wanted.iter().enumerate().map(|(n, wanted)| blocks.made(wanted, n % 2 == 0, silence()));
        let all = timeout(LIMIT, futures::future::try_join_all(all)).await.unwrap().unwrap();
        assert!(all.windows(2).all(|two| two[0] == two[1]) && !all[0].is_empty());
        assert_eq!(count(), (number + 1).to_string());
    }
}

#[test]
fn what_was_begun_keeps_its_turn_and_is_not_made_again() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).max_blocking_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let (blocks, count) = blocks();
        // The only thread that could encode is at something else.
        let (go_on, busy) = mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || busy.recv().is_ok());
        let permits = || (blocks.turns.at_once.available_permits(), blocks.turns.not_live.available_permits());
        let (at_once, not_live) = permits();
        {
            let wanted = blocks.kept.want(key(0));
            let mut given_up = pin!(blocks.made(&wanted, false, silence()));
            assert!(poll!(&mut given_up).is_pending());
        }
        assert_eq!(permits(), (at_once - 1, not_live - 1), "it will be made");
        assert_eq!((blocks.turns.downloads(), blocks.instruments.encoders.get()), (1, 1));
        go_on.send(()).unwrap();
        assert!(busy.await.unwrap());
        // Who comes meanwhile, or later, has the same.
        let wanted = blocks.kept.want(key(0));
        let unread = async { panic!("it is made already") };
        assert!(!timeout(LIMIT, blocks.made(&wanted, true, unread)).await.unwrap().unwrap().is_empty());
        drop(wanted);
        let all_given_back = async {
            while permits() != (at_once, not_live) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LIMIT, all_given_back).await.unwrap();
        assert!(blocks.kept.is_there(key(0)));
        assert_eq!((count().as_str(), blocks.turns.downloads(), blocks.instruments.encoders.get()), ("1", 0, 0));
    });
}
