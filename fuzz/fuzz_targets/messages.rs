//! Any bytes as messages of protobuf: those of a source, with the decision about each, and what a gateway takes from its recorder.
//!
//! Input: messages, each after its length of two bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use livetape_audio::{Entry, Epoch, Frame, Timeline, WallTime};
use livetape_proto::{Opening, v1};
use livetape_recorder::ingest::{Decision, Ingest, Message, Position};
use prost::Message as _;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

fn pieces(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk::<2>()?;
        let (piece, rest) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
        data = rest;
        Some(piece)
    })
}

/// A source's call, as far as the decision: each frame once, in order, and a timeline that takes every entry.
fn push(data: &[u8]) {
    let mut messages = pieces(data).filter_map(|piece| v1::IngestRequest::decode(piece).ok()?.message);
    let Some(v1::ingest_request::Message::Open(open)) = messages.next() else { return };
    let Ok(opening) = Opening::try_from(open) else { return };
    let now = WallTime::from_unix_nanos(1_763_649_000_000_000_000);
    let source = (opening.instance, opening.source.clone());
    let mut ingest = Ingest::new(opening.spec, HOUR, Epoch(1), source, Position::default());
    let mut timeline = Timeline::new(opening.spec);
    for message in messages {
        let Some(message) = livetape_recorder::fuzzing::translated(message) else { continue };
        // A recording that rolls goes on, once for each message at most.
        for _ in 0..2 {
            let (before, first) = (ingest.next(), first(&message));
            match ingest.decide(message.clone(), now) {
                Ok(Decision::Write { entries, skip, take, then, .. }) => {
                    assert_eq!(ingest.next(), before + take, "each frame once");
                    if let Some((first, frames)) = first.map(|(first, bytes)| (first, opening.spec.frames_in(bytes).0)) {
                        assert_eq!(ingest.in_call(before), first + skip, "in order");
                        assert!(skip + take <= frames, "no more than came");
                    }
                    let taken = entries.into_iter().all(|entry| timeline.push(entry).is_ok());
                    assert!(taken, "an entry does not fit the timeline");
                    if then.is_none() {
                        break;
                    }
                    ingest.rolled();
                    timeline = Timeline::new(opening.spec);
                }
                Ok(Decision::Nothing) => break,
                Ok(Decision::Seal) => return,
                Err(refusal) => {
                    assert!(refusal.to_string().len() < 300);
                    assert_eq!(ingest.next(), before, "a refusal changes nothing");
                    break;
                }
            }
        }
    }
}

fn first(message: &Message) -> Option<(Frame, u64)> {
    match message {
        Message::Append { first, bytes, .. } => Some((*first, *bytes)),
        _ => None,
    }
}

fuzz_target!(|data: &[u8]| {
    push(data);
    if let Ok(entry) = v1::Entry::decode(data)
        && let Ok(entry) = Entry::try_from(entry)
    {
        let again = Entry::try_from(v1::Entry::from(entry.clone()));
        assert_eq!(again.ok(), Some(entry));
    }
    livetape_gateway::fuzzing::told(data);
});
