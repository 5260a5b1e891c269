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

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_fails_is_no_end_where_closing_is_one() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(40 * RATE);
    let mut client = Client::connect(house.addr).await;
    client.send(&format!("GET /recordings/{}/audio.pcm HTTP/1.0\r\n\r\n", deck.id)).await;
    let mut reply = client.head(false).await;
    assert_eq!((reply.status, reply.header("content-length")), (200, None));
    let (first, _) = client.take(&mut reply, 100).await;
    let folder = house.data.path().join("live").join(deck.id.to_string());
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "pcm") {
            std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(0).unwrap();
        }
    }
    let (rest, ending) = client.rest(&mut reply).await;
    assert_eq!(ending, Ending::Reset, "after {} bytes", rest.len());
    let heard = [first, rest].concat();
    assert!(heard == expected(0, heard.len() as u64), "what came was right");
}

/// Bytes that the kernel holds for the client at this port, as the gateway's side of the connection says.
#[cfg(target_os = "linux")]
fn held_for(port: u16, server: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ends = (format!(":{server:04X}"), format!(":{port:04X}"));
    let row = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row =
        row.into_iter().find(|row| row[1].ends_with(&ends.0) && row[2].ends_with(&ends.1)).expect("the connection");
    u64::from_str_radix(row[4].split(':').next().unwrap(), 16).unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn little_lies_with_the_kernel_for_a_live_listener() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(40 * RATE);
    let finished = house.finished("other", MINUTE, 40 * RATE);
    let mut held = Vec::new();
    for target in ["/streams/live/live.pcm?offset=30".to_owned(), format!("/recordings/{finished}/audio.pcm")] {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut stream = socket.connect(house.addr).await.unwrap();
        let text = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, text.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        held.push(held_for(stream.local_addr().unwrap().port(), house.addr.port()));
    }
    // Half of 64 KiB has to leave before more is written; a write may go past it by what the kernel takes at once.
    assert!(held[0] <= 192 * KIB, "{held:?} bytes, live and not");
    assert!(held[0] >= 16 * KIB && held[1] > held[0], "{held:?} bytes, live and not");
}
