//! Playlists, and what is said of renditions: the addresses that players and pages go on with.

use crate::client::{fetch, json, open};
use crate::house::{House, RATE};
use livetape_access::{Access, Grants, Right, Rights, UrlKey};
use livetape_audio::{SampleFormat, Spec};
use livetape_gateway::Renditions;
use livetape_service::{Proxies, ProxyHeader};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

async fn playlist(house: &House, target: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let (reply, body) = fetch(house.addr, "GET", target, headers).await;
    (reply.status, String::from_utf8(body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_29_and_30_lead_to_what_plays() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(5 * RATE);
    house.finished("other", MINUTE, RATE);
    let (reply, body) = fetch(house.addr, "GET", "/streams/live/listen.m3u", &[]).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("audio/x-mpegurl")));
    assert_eq!(reply.header("content-disposition"), Some("inline; filename=\"live.m3u\""));
    let m3u = "#EXTM3U\r\n#EXTINF:-1,Studio A\r\nhttp://localhost/streams/live/live.mp3\r\n";
    assert_eq!(String::from_utf8(body).unwrap(), m3u);
    let target = m3u.lines().last().unwrap().strip_prefix("http://localhost").unwrap();
    let (_, reply, sound) = open(house.addr, target, &[], 36_864).await;
    assert_eq!((reply.status, &sound[..1]), (200, &[0xFF][..]));

    let (reply, body) = fetch(house.addr, "GET", "/streams/live/listen.pls?rendition=opus-96", &[]).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("audio/x-scpls")));
    assert_eq!(
        String::from_utf8(body).unwrap(),
        "[playlist]\r\nNumberOfEntries=1\r\nFile1=http://localhost/streams/live/live.opus?rendition=opus-96\r\n\
         Title1=Studio A\r\nLength1=-1\r\nVersion=2\r\n"
    );
    let (_, reply, _) = open(house.addr, "/streams/live/live.opus?rendition=opus-96", &[], 100).await;
    assert_eq!(reply.header("x-livetape-rendition"), Some("opus-96;rate=48000;channels=1,2"));

    // All of them, whether their source is there or not.
    let (reply, body) = fetch(house.addr, "GET", "/listen.xspf?rendition=wav", &[]).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/xspf+xml")));
    let xml = String::from_utf8(body).unwrap();
    for stream in ["live", "other"] {
        assert!(xml.contains(&format!("<location>http://localhost/streams/{stream}/live.wav</location>")), "{xml}");
    }
    assert_eq!(playlist(&house, "/listen.m3u", &[]).await.1.lines().count(), 5);
    assert!(playlist(&house, "/listen.pls", &[]).await.1.contains("NumberOfEntries=2\r\n"));

    for (target, status) in [
        ("/streams/none/listen.m3u", 404),
        ("/streams/live/listen.asx", 404),
        ("/streams/live/listen.m3u?rendition=mp3-129", 400),
        ("/streams/live/listen.m3u?rendition=rf64", 400),
        ("/streams/live/listen.m3u?rendition=opus-160", 400),
        ("/streams/live/listen.m3u?bitrate=128", 400),
    ] {
        assert_eq!(playlist(&house, target, &[]).await.0, status, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_those_that_the_client_used() {
    let house = House::with(|c| {
        c.proxies =
            Proxies { trusted: ["127.0.0.1".parse().unwrap()].into_iter().collect(), header: ProxyHeader::XForwarded };
        c.access = Some(Access::open(Grants::all()).unwrap());
        c.hosts = vec!["radio.example".into()];
        c.renditions = Renditions::named(["opus-24"]).unwrap();
    })
    .await;
    house.record("live", MINUTE).play(RATE);
    let forwarded =
        [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "radio.example")];
    let (_, m3u) = playlist(&house, "/streams/live/listen.m3u", &forwarded).await;
    assert!(m3u.contains("\r\nhttps://radio.example/streams/live/live.opus\r\n"), "{m3u}");
    let evil = [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Host", "evil.example")];
    assert_eq!(playlist(&house, "/listen.m3u", &evil).await.0, 421);

    // Nobody is believed who is not trusted.
    let alone = House::new().await;
    alone.record("live", MINUTE).play(RATE);
    let (_, m3u) = playlist(&alone, "/listen.m3u", &forwarded).await;
    assert!(m3u.contains("\r\nhttp://localhost/streams/"), "{m3u}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_signed_playlist_leads_to_is_signed_too() {
    let (folder, text) = (tempfile::tempdir().unwrap(), UrlKey::mint().unwrap());
    let file = folder.path().join("access.toml");
    std::fs::write(folder.path().join("url.key"), text.reveal()).unwrap();
    std::fs::write(&file, "[[url_key]]\nid = \"k\"\nfile = \"url.key\"\ngrants = [\"listen:*\"]\n").unwrap();
    let access = Access::load(&file, Grants::default()).unwrap();
    let house = House::with(|c| c.access = Some(access)).await;
    house.record("live", MINUTE).play(RATE);
    let (key, end) = (UrlKey::new("k", text.reveal()).unwrap(), crate::house::now().later(MINUTE * 60));
    let sign = |path: &str| key.sign(path, Rights::of([Right::Listen]), end, end).unwrap().to_string();
    for (signed, target) in [
        ("/streams/live/", "/streams/live/listen.m3u?"),
        ("/streams/live/", "/streams/live/listen.m3u?rendition=wav&"),
        ("/", "/listen.m3u?"),
    ] {
        let signature = sign(signed);
        let (status, m3u) = playlist(&house, &format!("{target}sign={signature}"), &[]).await;
        let url = m3u.lines().find_map(|line| line.strip_prefix("http://localhost")).unwrap_or_else(|| panic!("{m3u}"));
        assert!(status == 200 && url.ends_with(&format!("sign={signature}")), "{status} {url}");
        assert_eq!(fetch(house.addr, "HEAD", url, &[]).await.0.status, 200, "{url}");
    }
    // One that is good for the playlist alone is not handed on to what it is not good for.
    for target in ["/streams/live/listen.m3u", "/listen.m3u"] {
        let (status, m3u) = playlist(&house, &format!("{target}?sign={}", sign(target)), &[]).await;
        assert!(status == 200 && m3u.contains("/streams/live/live.") && !m3u.contains("sign="), "{status} {m3u}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_say_what_there_is_and_what_plays() {
    let house = House::new().await;
    let six = Spec::new(SampleFormat::S16, 44_100, 6).unwrap();
    let mut deck = house.record_as("live", MINUTE, six);
    deck.play(44_100);
    let (_, stream) = json(house.addr, "/streams/live").await;
    assert!(stream["playing"].is_null());
    deck.title("Ann: A Song");
    assert!(json(house.addr, "/streams/live").await.1["playing"].is_null(), "from the next frame on");
    deck.play(44_100);
    let (_, stream) = json(house.addr, "/streams/live").await;
    assert_eq!(stream["playing"], "Ann: A Song");
    let (_, recording) = json(house.addr, &format!("/recordings/{}", deck.id)).await;
    for (told, stem) in
        [(&stream, "/streams/live/live".to_owned()), (&recording, format!("/recordings/{}/audio", deck.id))]
    {
        let all = told["renditions"].as_array().unwrap();
        for (item, file, rate) in [(&all[0], "mp3", 44_100), (&all[1], "opus", 48_000), (&all[2], "flac", 44_100)] {
            assert_eq!((&item["url"], &item["rate"]), (&format!("{stem}.{file}").into(), &rate.into()), "{item}");
            let name = item["names"][1].as_str().unwrap_or("flac");
            let url = format!("{stem}.{file}?rendition={name}");
            let reply = fetch(house.addr, "HEAD", &url, &[]).await.0;
            assert_eq!((reply.status, reply.header("content-type")), (200, item["type"].as_str()), "{url}");
            let said = reply.header("x-livetape-rendition").unwrap();
            let channels = item["channels"].as_str().unwrap();
            assert!(
                said.starts_with(name) && said.ends_with(&format!("rate={rate};channels={channels}")),
                "{said} {item}"
            );
        }
        assert_eq!((&all[0]["channels"], &all[2]["channels"]), (&"1,2".into(), &"1,2,3,4,5,6".into()));
    }
    // A mix is for who asks for it, and is said to be one.
    let mixed = fetch(house.addr, "HEAD", "/streams/live/live.mp3?ch=stereo", &[]).await.0;
    assert_eq!(mixed.header("x-livetape-rendition"), Some("mp3-128;rate=44100;channels=stereo"));
    let url = format!("/recordings/{}/audio.opus", deck.id);
    let tags = [
        fetch(house.addr, "HEAD", &url, &[]).await.0,
        fetch(house.addr, "HEAD", &format!("{url}?ch=mono"), &[]).await.0,
    ];
    assert_ne!(tags[0].header("etag"), tags[1].header("etag"));
    assert_eq!(fetch(house.addr, "HEAD", "/streams/live/live.flac?ch=stereo", &[]).await.0.status, 400);
    deck.seal(livetape_audio::SealReason::SourceEnded, None);
    assert!(json(house.addr, "/streams/live").await.1["playing"].is_null(), "nothing plays any more");
}
