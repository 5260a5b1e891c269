//! A part of a recording as a file to keep: a broadcast WAV, whose `bext` chunk (EBU Tech 3285) says when it was captured, with
//! true sizes, and RF64 if it is longer than 4 GiB. It is another file than `audio.wav`: in that, no audio ever moves.

use super::{Asking, asked, known, unattended};
use crate::answer::{self, Facts};
use crate::context::Context;
use crate::listing;
use crate::mode::Mode;
use crate::problem::{Problem, quoted};
use crate::query::{ClipAddress, Query, RecordingAddress};
use crate::rendition::{Kind, Rendition, Wanted};
use crate::reply::{Reply, set_text};
use crate::representation::Representation;
use crate::request::{Path, Request, file};
use axum::extract::State;
use http::header;
use livetape_access::{Actor, Caller, Way};
use livetape_audio::bext::Bext;
use livetape_audio::{Container, End, Frame, RecordingId, Timeline, View};
use livetape_store::Recording;
use std::sync::Arc;
use std::time::Duration;

/// `GET /recordings/{id}/clip.wav`: as far as is recorded now, if no end is said.
pub(crate) async fn clip(
    State(context): State<Arc<Context>>,
    Path(id): Path<RecordingId>,
    Query(ClipAddress(address)): Query<ClipAddress>,
    request: Request,
) -> Reply {
    let recording = known(&context, id)?;
    let tail = context.library.tail(id).ok_or_else(unattended)?.current();
    let timeline = listing::timeline(&context, &recording, tail).await?;
    let view = address.resolve(recording.spec, &timeline, &tail, Duration::ZERO)?;
    let known_end = view.known_end(&timeline, &tail);
    let end = match (known_end, address.to) {
        (Some(end), _) => end,
        (None, None) => tail.end.max(view.first),
        (None, Some(to)) => {
            let error = format!("the clip ends at {to}, which is not recorded yet");
            return Err(Problem::not_yet(error, "ask again then, or leave `to` out", Duration::from_secs(1)));
        }
    };
    if view.first >= end {
        return Err(Problem::not_yet("nothing of the clip is recorded yet", "ask again", Duration::from_secs(1)));
    }
    // One whose end is said stays what it is.
    let mode = if known_end.is_some() { Mode::Huge } else { Mode::Now };
    let view = View { first: view.first, end: End::At(end) };
    let chunk = bext(&recording, &timeline, view.first).chunk(recording.spec);
    let representation = Representation::clip(id, recording.spec, view.first..end, &chunk);
    let asked = asked(&request);
    let etag = representation.etag();
    let answer = answer::decide(asked, Facts { bytes: representation.bytes(end), growth: None, etag: &etag });
    let name = format!("attachment; filename=\"{}\"", file(Kind::Pcm(Container::Wav), &recording, view.first));
    let address = RecordingAddress { view: address, len: Some(mode), wanted: Wanted::default() };
    let (rendition, may_hold) = (Rendition::Pcm(Container::Wav), false);
    let asking = Asking { context: &context, recording, rendition, mode, address, asked, may_hold, view: Some(view) };
    let mut reply = asking.reply(&request, &representation, &etag, answer, end)?;
    if reply.status().is_success() && !request.head {
        tell(&context, &request, id).await;
    }
    set_text(reply.headers_mut(), header::CONTENT_DISPOSITION, &name);
    Ok(reply)
}

/// Has it written on the timeline who took it away, before it is sent. Nobody in particular stands in the log alone, and so does
/// whoever the recorder was not told of; who takes it in parts is told of once.
async fn tell(context: &Context, request: &Request, id: RecordingId) {
    let identity = request.caller.as_ref().map(Caller::identity).filter(|who| who.way() != Way::Anonymous);
    let (Some(operations), Some(identity)) = (&context.operations, identity) else { return };
    let actor = Actor::new(identity, Some(request.client));
    if !context.audit.is_news(&actor, id) {
        return;
    }
    if let Err(status) = operations.exported(&actor, id).await {
        let why = quoted(status.message());
        tracing::warn!(recording = %id, code = ?status.code(), why, "who took a clip away stands in the log alone");
    }
}

/// What never changes about the clip: its title may.
fn bext(recording: &Recording, timeline: &Timeline, first: Frame) -> Bext {
    Bext {
        description: format!("{} recording {} frame {first}", recording.stream, recording.id),
        originator: "livetape".into(),
        // As long as the field.
        reference: recording.id.to_string().replace('-', ""),
        time: timeline.time_of(first),
    }
}
