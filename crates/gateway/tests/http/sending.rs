//! How audio gets from the disk into the socket: the bytes are right whatever way they take.

use crate::client::{Client, Ending};
use crate::house::{House, RATE, SECOND, counting};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Bytes of counting PCM.
fn expected(start: u64, len: u64) -> Vec<u8> {
    let frames = counting(start / 4..(start + len).div_ceil(4));
    frames[(start % 4) as usize..][..len as usize].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_length_and_one_after_the_other() {
    let house = House::new().await;
    let id = house.finished("live", MINUTE, 40 * RATE);
    let target = format!("/recordings/{id}/audio.pcm");
    let mut client = Client::connect(house.addr).await;
    let edges = [1, 8 * KIB, 64 * KIB, 128 * KIB, MIB, 4 * MIB];
    for (n, len) in edges.into_iter().flat_map(|len| [len - 1, len, len + 1]).filter(|len| *len > 0).enumerate() {
        let start = n as u64 * 12_345;
        let range = format!("bytes={start}-{}", start + len - 1);
        let mut reply = client.request("GET", &target, &[("Range", &range)]).await;
        assert_eq!(reply.status, 206);
        let (bytes, ending) = client.rest(&mut reply).await;
        assert_eq!((bytes.len() as u64, ending), (len, Ending::Clean));
        assert!(bytes == expected(start, len), "{range}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_come_all_at_once() {
    let house = House::new().await;
    let id = house.finished("live", MINUTE, 40 * RATE);
    let other = house.finished("other", MINUTE, 20 * RATE);
    let mut client = Client::connect(house.addr).await;
    let asked: Vec<_> =
        (0..40_u64).map(|n| (if n % 3 == 0 { other } else { id }, n * 50_001, 40_000 + n * 9_000)).collect();
    let text: String = asked
        .iter()
        .map(|(id, start, len)| {
            let last = start + len - 1;
            format!("GET /recordings/{id}/audio.pcm HTTP/1.1\r\nHost: localhost\r\nRange: bytes={start}-{last}\r\n\r\n")
        })
        .collect();
    client.send(&text).await;
    for (_, start, len) in asked {
        let mut reply = client.head(false).await;
        // A body is read to its length, which leaves the next reply alone.
        let (bytes, _) = client.take(&mut reply, len as usize).await;
        assert!(bytes == expected(start, len), "{len} bytes from {start} on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_the_file_any_more_is_not_made_up() {
    let house = House::new().await;
    let id = house.finished("live", MINUTE, 60 * RATE);
    let file = house.data.path().join("live").join(id.to_string()).join(format!("{:020}.pcm", 0));
    let mut client = Client::connect(house.addr).await;
    let mut reply = client.request("GET", &format!("/recordings/{id}/audio.pcm"), &[]).await;
    let (first, _) = client.take(&mut reply, 100).await;
    std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(0).unwrap();
    let (rest, ending) = client.rest(&mut reply).await;
    assert_ne!(ending, Ending::Clean);
    let heard = [first, rest].concat();
    assert!((heard.len() as u64) < 60 * SECOND, "it was cut");
    assert!(heard == expected(0, heard.len() as u64), "what came was right");
}
