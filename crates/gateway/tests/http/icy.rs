//! Titles between the audio of MP3 and in links of Ogg: those of the listener's own moment, for who asks, and only where nothing
//! has a byte number.

use crate::client::{Client, Ending, Reply, fetch, open};
use crate::house::{Deck, House, RATE};
use livetape_audio::SealReason;
use livetape_codec::decode::{Decoder, Input};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const INTERVAL: usize = 16_000;
const WANTED: (&str, &str) = ("Icy-MetaData", "1");
/// Bytes of a second of `mp3-128`.
const SECOND: usize = 16_000;

/// The audio, and after how many bytes of it what was told.
fn taken_apart(mut body: &[u8]) -> (Vec<u8>, Vec<(usize, String)>) {
    let (mut audio, mut told) = (Vec::new(), Vec::new());
    while body.len() > INTERVAL {
        let (piece, rest) = body.split_at(INTERVAL);
        audio.extend_from_slice(piece);
        let (block, rest) = rest.split_at(1 + usize::from(rest[0]) * 16);
        if block.len() > 1 {
            let text = std::str::from_utf8(&block[1..]).unwrap().trim_end_matches('\0');
            let title = text.strip_prefix("StreamTitle='").unwrap().strip_suffix("';").unwrap();
            told.push((audio.len(), title.to_owned()));
        }
        body = rest;
    }
    audio.extend_from_slice(body);
    (audio, told)
}

/// The whole body of a stream that ends.
async fn whole(house: &House, target: &str, headers: &[(&str, &str)]) -> (Reply, Vec<u8>) {
    let (reply, body) = fetch(house.addr, "GET", target, headers).await;
    assert_eq!(reply.status, 200, "{target}");
    (reply, body)
}

fn begin(house: &House) -> Deck {
    let mut deck = house.record("live", MINUTE);
    deck.title("First; \"Song\"");
    deck.play(10 * RATE);
    deck.title("Second's 'Song';StreamUrl='http://evil/");
    deck.play(10 * RATE);
    deck
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_25_and_26_titles_of_the_moment_shifted_and_across_a_roll() {
    let house = House::new().await;
    let mut deck = begin(&house);
    let mut next = house.record("live", Duration::ZERO);
    next.title("Second's 'Song';StreamUrl='http://evil/");
    next.play(3 * RATE);
    next.title("Étude");
    next.play(5 * RATE);
    deck.seal(SealReason::Rolled, Some(next.id));
    next.seal(SealReason::SourceEnded, None);

    let target = "/streams/live/live.mp3?offset=23";
    let (reply, spliced) = whole(&house, target, &[WANTED]).await;
    assert_eq!(reply.header("icy-metaint"), Some("16000"));
    let (plain_reply, plain) = whole(&house, target, &[]).await;
    assert_eq!(plain_reply.header("icy-metaint"), None);
    for reply in [&reply, &plain_reply] {
        assert_eq!((reply.header("icy-name"), reply.header("icy-br")), (Some("Studio A"), Some("128")));
        assert_eq!((reply.header("icy-url"), reply.header("icy-pub")), (Some("http://localhost/"), Some("0")));
        assert_eq!(reply.header("icy-genre"), Some("Jazz"));
        assert!(reply.header("vary").is_some_and(|v| v.contains("Icy-MetaData")));
        assert!(reply.is_chunked() && reply.header("content-type") == Some("audio/mpeg"));
    }
    let (audio, told) = taken_apart(&spliced);
    assert!(audio == plain, "byte for byte the audio without titles (O24)");
    for (n, block) in audio.chunks(384).enumerate() {
        assert!(block[0] == 0xFF && block[1] & 0xE0 == 0xE0, "frame {n}");
    }
    // From the block of 1.2 s in which it begins, at 4.8 s.
    let titles: Vec<_> = told.iter().map(|(_, title)| title.as_str()).collect();
    assert_eq!(titles, ["First; \"Song\"", "Second's ’Song’;StreamUrl=’http://evil/", "Étude"]);
    let second = |n: usize| told[n].0 as f64 / SECOND as f64 + 4.8;
    assert!((10.0..11.0).contains(&second(1)), "{told:?}");
    // A packet more of the first recording than it has frames.
    assert!((23.0..24.1).contains(&second(2)), "{told:?}");
    assert_eq!(second(0), 5.8, "at once");

    // Shifted into the second: never a word of the first.
    let (_, later) = whole(&house, "/streams/live/live.mp3?offset=15", &[WANTED]).await;
    assert_eq!(taken_apart(&later).1[0].1, titles[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_listener_hears_of_a_title_when_it_comes() {
    let house = House::new().await;
    let mut deck = begin(&house);
    let (mut client, mut reply, mut body) = open(house.addr, "/streams/live/live.mp3", &[WANTED], 40_000).await;
    deck.title("Third");
    deck.play(5 * RATE);
    deck.title("");
    deck.play(3 * RATE);
    deck.seal(SealReason::SourceEnded, None);
    let (rest, ending) = client.rest(&mut reply).await;
    assert!(matches!(ending, Ending::Clean), "{ending:?}");
    body.extend(rest);
    let (_, told) = taken_apart(&body);
    let titles: Vec<_> = told.iter().map(|(_, title)| title.as_str()).collect();
    assert_eq!(titles, ["Second's ’Song’;StreamUrl=’http://evil/", "Third", ""]);
}

/// The links of a chain of Ogg streams, and what each says is playing.
fn links(body: &[u8]) -> Vec<(Vec<u8>, String)> {
    let starts: Vec<_> =
        (0..body.len()).filter(|&at| body[at..].starts_with(b"OggS\0\x02")).chain([body.len()]).collect();
    let title = |link: &[u8]| {
        let at = link.windows(8).position(|w| w == b"OpusTags").unwrap() + 8 + 4 + "livetape".len();
        match link[at] {
            0 => String::new(),
            _ => {
                let len = usize::from(u16::from_le_bytes([link[at + 4], link[at + 5]]));
                let comment = std::str::from_utf8(&link[at + 8..at + 8 + len]).unwrap();
                comment.strip_prefix("TITLE=").unwrap().to_owned()
            }
        }
    };
    starts.windows(2).map(|at| (body[at[0]..at[1]].to_vec(), title(&body[at[0]..at[1]]))).collect()
}

fn samples(link: Vec<u8>) -> usize {
    let mut decoder = Decoder::open(Input::bytes(link), None).unwrap();
    let mut n = 0;
    while let Some(block) = decoder.next().unwrap() {
        n += block.samples.len() / 2;
    }
    n
}

#[tokio::test(flavor = "multi_thread")]
async fn opus_tells_titles_in_links_to_who_asks() {
    let house = House::new().await;
    let mut deck = begin(&house);
    let mut next = house.record("live", Duration::ZERO);
    next.title("Étude");
    next.play(3 * RATE);
    deck.seal(SealReason::Rolled, Some(next.id));
    next.seal(SealReason::SourceEnded, None);
    let (_, plain) = whole(&house, "/streams/live/live.opus?offset=20", &[]).await;
    let plain = links(&plain);
    let titles: Vec<_> = plain.iter().map(|(_, title)| title.as_str()).collect();
    assert_eq!(titles, ["First; \"Song\"", "Étude"], "one link for each recording");
    let (reply, asked) = whole(&house, "/streams/live/live.opus?offset=20", &[WANTED]).await;
    assert_eq!(reply.header("icy-metaint"), None);
    let asked = links(&asked);
    let titles: Vec<_> = asked.iter().map(|(_, title)| title.as_str()).collect();
    assert_eq!(titles, ["First; \"Song\"", "Second's 'Song';StreamUrl='http://evil/", "Étude"]);
    let serials: Vec<_> = asked.iter().map(|(link, _)| &link[14..18]).collect();
    assert!(serials[0] != serials[1] && serials[1] != serials[2] && serials[0] != serials[2]);
    let length = |links: Vec<(Vec<u8>, String)>| links.into_iter().map(|(link, _)| samples(link)).collect::<Vec<_>>();
    let (one, three) = (length(plain), length(asked));
    assert_eq!(three.iter().sum::<usize>(), one.iter().sum::<usize>(), "no sample more or less: {three:?}");
    // From 3 s on, less 80 ms, to the first page after the 10th second.
    let first: usize = reply.header("x-livetape-first-frame").unwrap().parse().unwrap();
    assert!((0..=9_600).contains(&(three[0] as i64 + first as i64 + 120 - 10 * RATE as i64)), "{three:?} from {first}");
}

/// O25: as VLC asks.
#[tokio::test(flavor = "multi_thread")]
async fn http_1_0_gets_titles_and_no_chunks() {
    let house = House::new().await;
    let mut deck = begin(&house);
    let (_, plain) = {
        deck.seal(SealReason::SourceEnded, None);
        whole(&house, "/streams/live/live.mp3?offset=9", &[]).await
    };
    let mut client = Client::connect(house.addr).await;
    client.send("GET /streams/live/live.mp3?offset=9 HTTP/1.0\r\nIcy-MetaData: 1\r\n\r\n").await;
    let mut reply = client.head(false).await;
    assert_eq!((reply.status, reply.header("icy-metaint"), reply.header("icy-url")), (200, Some("16000"), None));
    assert!(!reply.is_chunked() && reply.header("connection") == Some("close"));
    let (body, ending) = client.rest(&mut reply).await;
    assert!(matches!(ending, Ending::Clean));
    assert!(taken_apart(&body).0 == plain);
}

/// Row 27, and whatever else has no place for it.
#[tokio::test(flavor = "multi_thread")]
async fn never_in_a_recording_and_never_for_who_did_not_ask() {
    let house = House::new().await;
    let mut deck = begin(&house);
    let recorded = format!("/recordings/{}/audio.mp3", deck.id);
    let (reply, part) = fetch(house.addr, "GET", &recorded, &[("Range", "bytes=0-39999")]).await;
    assert_eq!((reply.status, part.len()), (206, 40_000));
    for range in [None, Some(("Range", "bytes=0-"))] {
        let headers: Vec<_> = [WANTED].into_iter().chain(range).collect();
        let (_, reply, body) = open(house.addr, &recorded, &headers, 40_000).await;
        assert!(reply.header("icy-metaint").is_none() && reply.header("icy-name").is_none(), "{range:?}");
        assert!(body == part, "{range:?}");
    }
    for (file, headers) in [
        ("live.mp3", &[("Icy-MetaData", "0")][..]),
        ("live.mp3", &[]),
        ("live.wav", &[WANTED]),
        ("live.flac", &[WANTED]),
        ("live.opus", &[WANTED]),
    ] {
        let reply = fetch(house.addr, "HEAD", &format!("/streams/live/{file}"), headers).await.0;
        assert_eq!((reply.status, reply.header("icy-metaint")), (200, None), "{file}");
        assert_eq!(reply.header("icy-name").is_some(), file == "live.mp3");
    }
    let reply = fetch(house.addr, "HEAD", "/streams/live/live.mp3", &[WANTED]).await.0;
    assert_eq!(reply.header("icy-metaint"), Some("16000"));
    deck.seal(SealReason::SourceEnded, None);
}
