//! Marks for other programs.

use crate::client::{fetch, json};
use crate::house::{House, RATE};
use std::time::Duration;

const HOSTILE: &str = "=HYPERLINK(\"http://x\"), <img src=x onerror=alert(1)> 🎉 \u{202E}left";

#[tokio::test(flavor = "multi_thread")]
async fn as_json_as_a_table_and_as_labels() {
    let house = House::new().await;
    let mut deck = house.record("live", Duration::from_secs(60));
    let begin = deck.time();
    deck.play(RATE * 2);
    deck.mark(90_000, HOSTILE);
    deck.mark(30_001, "plain");
    let address = format!("/recordings/{}/marks", deck.id);
    let (status, marks) = json(house.addr, &address).await;
    assert_eq!((status, &marks["recording"]), (200, &deck.id.to_string().into()));
    let time = begin.later(Duration::from_nanos(1_875_000_000)).to_string();
    let second = serde_json::json!({ "frame": 90_000, "seconds": 1.875, "time": time, "text": HOSTILE });
    assert_eq!((&marks["marks"][0]["text"], &marks["marks"][1]), (&"plain".into(), &second), "by their frames");
    let (reply, csv) = fetch(house.addr, "GET", &format!("{address}.csv"), &[]).await;
    assert_eq!(reply.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    let name = reply.header("content-disposition").unwrap();
    assert!(name.starts_with("attachment; filename=\"live-2") && name.ends_with("Z-marks.csv\""), "{name}");
    let csv = String::from_utf8(csv).unwrap();
    let rows: Vec<_> = csv.split("\r\n").collect();
    assert_eq!((rows.len(), rows[0], rows[3]), (4, "frame,seconds,time,text", ""));
    assert!(rows[1].starts_with("30001,0.625020833,") && rows[1].ends_with(",\"plain\""), "{csv}");
    assert_eq!(rows[2], format!("90000,1.875000000,{time},\"'{}\"", HOSTILE.replace('"', "\"\"")));
    let (reply, labels) = fetch(house.addr, "GET", &format!("{address}.txt"), &[]).await;
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    let due = format!("0.625020833\t0.625020833\tplain\n1.875000000\t1.875000000\t{HOSTILE}\n");
    assert_eq!(String::from_utf8(labels).unwrap(), due);
    let (reply, _) = fetch(house.addr, "GET", &format!("{address}.csv?x=1"), &[]).await;
    assert_eq!(reply.status, 400);
    house.catalogue.remove(deck.id);
    let (reply, _) = fetch(house.addr, "GET", &format!("{address}.txt"), &[]).await;
    assert_eq!(reply.status, 404);
}
