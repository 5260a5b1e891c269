//! Waveform data over HTTP: of counting PCM, whose peaks everybody can count.

use crate::client::{fetch, json};
use crate::house::{House, RATE};
use livetape_audio::SealReason;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn numbers(value: &serde_json::Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|n| n.as_i64().unwrap()).collect()
}

/// Lowest and highest sample of the left channel, which counts, of frames that do not pass 32,767.
fn left(first: u64, end: u64) -> [i64; 2] {
    [first as i64, end as i64 - 1]
}

#[tokio::test(flavor = "multi_thread")]
async fn json_as_audiowaveform_writes_it_and_more() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(30_000);
    deck.draw();
    let (status, all) = json(house.addr, &format!("/recordings/{}/peaks?width=29", deck.id)).await;
    assert_eq!(status, 200);
    let number = |name: &str| all[name].as_u64().unwrap();
    assert_eq!((number("version"), number("channels"), number("sample_rate"), number("bits")), (2, 2, 48_000, 16));
    // 30,000 / 29 is a little more than 4 times 256.
    assert_eq!((number("samples_per_pixel"), number("length")), (1_280, 24));
    assert_eq!((number("first_frame"), number("end_frame"), number("frames")), (0, 29_952, 30_000));
    let (data, rms) = (numbers(&all["data"]), numbers(&all["rms"]));
    assert_eq!((data.len(), rms.len()), (24 * 4, 24 * 2));
    for (n, point) in (0_u64..).zip(data.chunks(4)) {
        let end = (n * 1_280 + 1_280).min(29_952);
        assert_eq!(point, [&left(n * 1_280, end)[..], &[0, 0]].concat(), "point {n}");
        let square: f64 = (n * 1_280..end).map(|n| (n as f64).powi(2)).sum::<f64>() / (end - n * 1_280) as f64;
        assert!((rms[n as usize * 2] as f64 - square.sqrt()).abs() <= 1.0, "point {n}");
    }
    // Every single frame, in seconds and in times of day.
    let at = deck.time().earlier(Duration::from_millis(500));
    for from in ["0.125".to_owned(), at.to_string()] {
        let to = if from == "0.125" { "0.1255".to_owned() } else { at.later(Duration::from_micros(500)).to_string() };
        let first = 6_000_u64;
        let (_, part) = json(house.addr, &format!("/recordings/{}/peaks?from={from}&to={to}", deck.id)).await;
        assert_eq!((&part["samples_per_pixel"], &part["length"]), (&1.into(), &24.into()), "{part}");
        assert_eq!((&part["first_frame"], &part["end_frame"]), (&first.into(), &(first + 24).into()));
        let due: Vec<_> = (first as i64..first as i64 + 24).flat_map(|n| [n, n, 0, 0]).collect();
        assert_eq!(numbers(&part["data"]), due);
    }
    // It grows, and says how far it goes.
    deck.play(512);
    deck.draw();
    let (_, grown) = json(house.addr, &format!("/recordings/{}/peaks.json?width=29", deck.id)).await;
    assert_eq!((&grown["end_frame"], &grown["frames"]), (&30_464.into(), &30_512.into()));
    deck.seal(SealReason::Operator, None);
    deck.draw();
    let (_, whole) = json(house.addr, &format!("/recordings/{}/peaks?v=3", deck.id)).await;
    assert_eq!((&whole["end_frame"], &whole["frames"]), (&30_512.into(), &30_512.into()));
    assert_eq!(whole["samples_per_pixel"], 31);
    let (_, one) = json(house.addr, &format!("/recordings/{}", deck.id)).await;
    assert_eq!(one["urls"]["peaks"], format!("/recordings/{}/peaks", deck.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn dat_by_name_and_by_accept() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(1_024);
    deck.draw();
    let address = format!("/recordings/{}/peaks", deck.id);
    let (reply, by_name) = fetch(house.addr, "GET", &format!("{address}.dat?width=2"), &[]).await;
    assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
    assert_eq!(
        (reply.header("x-livetape-first-frame"), reply.header("x-livetape-end-frame")),
        (Some("0"), Some("1024"))
    );
    let heads: Vec<_> = by_name[..24].as_chunks().0.iter().map(|&b| i32::from_le_bytes(b)).collect();
    assert_eq!(heads, [2, 0, 48_000, 512, 2, 2]);
    let data: Vec<_> = by_name[24..].as_chunks().0.iter().map(|&b| i16::from_le_bytes(b)).collect();
    assert_eq!(data, [0, 511, 0, 0, 512, 1_023, 0, 0]);
    let accept = [("Accept", "application/octet-stream, */*;q=0.1")];
    let (reply, by_accept) = fetch(house.addr, "GET", &format!("{address}?width=2"), &accept).await;
    assert_eq!((by_accept == by_name, reply.header("vary")), (true, Some("Accept")));
    let (reply, head) = fetch(house.addr, "HEAD", &format!("{address}.dat?width=2"), &[]).await;
    assert_eq!((reply.status, reply.header("content-length"), head.len()), (200, Some("40"), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_given_is_refused_with_a_reason() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(RATE * 2);
    let id = deck.id;
    let ask = |query: &str| {
        let (addr, target) = (house.addr, format!("/recordings/{id}/peaks{query}"));
        async move {
            let (status, body) = json(addr, &target).await;
            (status, body["error"].as_str().unwrap_or_default().to_owned(), body)
        }
    };
    for (query, status, word) in [
        ("?from=1&to=0.5", 400, "not after"),
        ("?from=1&to=1", 400, "not after"),
        ("?from=99", 409, "so far"),
        ("?width=0", 400, "width"),
        ("?width=4097", 400, "width"),
        ("?width=-1", 400, "width"),
        ("?width=99999999999999999999", 400, "width"),
        ("?from=yesterday", 400, "from"),
        ("?pos=1", 400, "pos"),
        ("?width=1&width=2", 400, "twice"),
        ("?to=1e400", 400, "to"),
        ("?to=2020-01-01T00:00:00Z", 404, "nothing was recorded"),
    ] {
        let (got, error, _) = ask(query).await;
        assert_eq!((got, error.contains(word)), (status, true), "{query}: {error}");
    }
    // Absurd zooms are granted: what there is, and no more.
    let (status, _, far) = ask("?to=99999999&width=1").await;
    assert_eq!((status, &far["length"], &far["end_frame"]), (200, &0.into(), &0.into()), "none is made yet: {far}");
    deck.draw();
    let (_, _, far) = ask("?to=99999999&width=1").await;
    assert_eq!((&far["length"], &far["end_frame"]), (&1.into(), &96_000.into()));
    let (_, _, near) = ask("?from=1&to=1.0001&width=4096").await;
    assert_eq!((&near["length"], &near["samples_per_pixel"]), (&5.into(), &1.into()), "no more than there are: {near}");
    assert_eq!(ask("?from=1&to=1.00001").await.0, 404, "not even a frame");
    let (_, _, edge) = ask("?from=2").await;
    assert_eq!((&edge["length"], &edge["first_frame"]), (&0.into(), &96_000.into()), "nothing is there yet");
    // Finished, and its peaks were not made: they are being made.
    let other = house.finished("other", MINUTE, RATE * 20);
    let (reply, _) = fetch(house.addr, "GET", &format!("/recordings/{other}/peaks?width=10"), &[]).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("2")));
    let (status, past) = json(house.addr, &format!("/recordings/{other}/peaks?from=21")).await;
    assert_eq!((status, past["error"].as_str().unwrap().contains("ended")), (404, true));
    // Deleted meanwhile.
    house.catalogue.remove(other);
    let (status, _) = json(house.addr, &format!("/recordings/{other}/peaks")).await;
    assert_eq!(status, 404);
}
