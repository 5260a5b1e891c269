//! Who asked for more than to listen, in the log under one target: what was let in, with what came of it, and what was refused.
//!
//! Requests of whoever proved who they are stand there each. Of those that anybody can make, as many as they like, so many do in a
//! minute, and how many were left out. Not here: what the recorder did, which it writes down itself.

use livetape_access::{Actor, Identity, Right, Way};
use livetape_audio::{RecordingId, StreamName};
use livetape_service::Seldom;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most lines in a minute about requests that were refused, and about those of nobody in particular.
const LINES: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);
/// Most of those whom the recorder was told of that are remembered.
const TOLD: usize = 256;

/// A request that needs a right.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// Who asks, as far as that was proved.
    pub(crate) who: Option<&'a Identity>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) right: Right,
    pub(crate) stream: Option<&'a StreamName>,
    /// Method and route.
    pub(crate) what: &'a str,
}

/// Writes it down.
pub(crate) struct Audit {
    refused: Seldom,
    nobody: Seldom,
    told: Mutex<VecDeque<(String, Instant)>>,
}

impl Audit {
    pub(crate) fn new() -> Self {
        Self { refused: Seldom::new(LINES, MINUTE), nobody: Seldom::new(LINES, MINUTE), told: Mutex::default() }
    }

    /// Whether the recorder was not told within the last minute that somebody takes this away: who does it in many requests is one
    /// event on the timeline.
    pub(crate) fn is_news(&self, actor: &Actor, id: RecordingId) -> bool {
        let (key, now) = (format!("{id} {actor}"), Instant::now());
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|(_, at)| now.saturating_duration_since(*at) < MINUTE);
        if told.iter().any(|(known, _)| *known == key) {
            return false;
        }
        if told.len() >= TOLD {
            told.pop_front();
        }
        told.push_back((key, now));
        true
    }

    /// A request was let in.
    pub(crate) fn asked(&self, asked: Asked<'_>, status: u16) {
        if asked.right == Right::Listen {
            return;
        }
        let is_nobody = asked.who.is_none_or(|who| who.way() == Way::Anonymous);
        if let Some(left_out) = if is_nobody { self.nobody.pass() } else { Some(0) } {
            log(asked, status, None, left_out);
        }
    }

    /// A request was not; the text says why.
    pub(crate) fn refused(&self, asked: Asked<'_>, status: u16, why: &str) {
        if asked.right != Right::Listen
            && let Some(left_out) = self.refused.pass()
        {
            log(asked, status, Some(why), left_out);
        }
    }
}

fn log(asked: Asked<'_>, status: u16, why: Option<&str>, left_out: u64) {
    let Asked { who, address, right, stream, what } = asked;
    tracing::info!(
        target: "livetape::audit",
        who = who.map(Identity::name),
        by = who.map(|who| who.way().word()),
        address = address.map(tracing::field::display),
        %right,
        stream = stream.map(tracing::field::display),
        what,
        status,
        why,
        left_out = (left_out > 0).then_some(left_out),
        "{}",
        if why.is_some() { "refused" } else { "asked" }
    );
}
