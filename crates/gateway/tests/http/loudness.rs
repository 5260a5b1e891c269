//! Loudness over HTTP: of counting PCM, of which the store's tests show that it is right.

use crate::client::{fetch, json, open};
use crate::house::{House, RATE};
use livetape_audio::SealReason;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(flavor = "multi_thread")]
async fn of_a_part_and_of_each_minute_while_it_grows_and_after() {
    let house = House::new().await;
    let mut deck = house.record("live", HOUR);
    deck.play(RATE * 90);
    deck.draw();
    let ask = async |query: &str| json(house.addr, &format!("/recordings/{}/loudness{query}", deck.id)).await;
    let (status, told) = ask("").await;
    assert_eq!((status, &told["end_frame"], &told["next_frame"]), (200, &(RATE * 90).into(), &serde_json::Value::Null));
    let lufs = told["integrated"].as_f64().unwrap();
    assert!((-25.0..-15.0).contains(&lufs), "{told}");
    let minutes = told["minutes"].as_array().unwrap();
    assert_eq!((minutes.len(), &minutes[1]["first_frame"]), (2, &(RATE * 60).into()));
    // A part is told in whole minutes, and those by themselves that were asked for.
    let (_, part) = ask("?from=61&to=62").await;
    assert_eq!((&part["first_frame"], &part["end_frame"]), (&(RATE * 60).into(), &(RATE * 90).into()));
    assert_eq!(part["integrated"], minutes[1]["integrated"]);
    let (_, first) = ask("?minutes=1").await;
    assert_eq!((&first["integrated"], &first["next_frame"]), (&told["integrated"], &(RATE * 60).into()));
    let (_, none) = ask("?minutes=0").await;
    assert_eq!((&none["minutes"], &none["next_frame"]), (&serde_json::json!([]), &0.into()));
    let (_, one) = json(house.addr, &format!("/recordings/{}", deck.id)).await;
    assert_eq!(
        (&one["loudness"], &one["urls"]["loudness"]),
        (&told["integrated"], &format!("/recordings/{}/loudness", deck.id).into())
    );
    for (query, status, word) in [
        ("?from=1&to=0.5", 400, "not after"),
        ("?from=99", 409, "so far"),
        ("?minutes=1441", 400, "minutes"),
        ("?minutes=-1", 400, "minutes"),
        ("?width=3", 400, "width"),
    ] {
        let (got, body) = ask(query).await;
        assert_eq!((got, body["error"].as_str().unwrap().contains(word)), (status, true), "{query}: {body}");
    }
    // Finished, and it is not measured to its end: it is being measured.
    deck.play(RATE);
    let id = deck.seal(SealReason::Operator, None);
    let (reply, _) = fetch(house.addr, "GET", &format!("/recordings/{id}/loudness"), &[]).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
    deck.draw();
    let (status, whole) = json(house.addr, &format!("/recordings/{id}/loudness?v=2")).await;
    assert_eq!((status, &whole["end_frame"]), (200, &(RATE * 91).into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_of_a_stream_are_counted_while_they_listen() {
    let house = House::new().await;
    let mut deck = house.record("live", HOUR);
    deck.play(RATE * 5);
    let listeners = async || json(house.addr, "/streams/live").await.1["listeners"].as_u64().unwrap();
    assert_eq!(listeners().await, 0);
    let live = open(house.addr, "/streams/live/live.wav", &[], 44).await;
    let recorded = open(house.addr, &format!("/recordings/{}/audio.wav", deck.id), &[], 44).await;
    assert_eq!(listeners().await, 2);
    drop((live, recorded));
    for _ in 0..500 {
        if listeners().await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} are still counted", listeners().await);
}
