//! A part of a recording as a file to keep, whose end is known. As a broadcast WAV, whose `bext` chunk (EBU Tech 3285) says when it
//! was captured, with true sizes, and RF64 if it is longer than 4 GiB; as an MP3 whose Info frame says which samples count. They
//! are other files than `audio.wav` and `audio.mp3`: in those, no audio ever moves.

use super::{Asking, asked, known, unattended};
use crate::answer::{self, Facts};
use crate::context::Context;
use crate::listing;
use crate::mode::Mode;
use crate::problem::{Problem, quoted};
use crate::query::{ClipAddress, Mp3ClipAddress, Query, RecordingAddress};
use crate::rendition::{Kind, Rendition};
use crate::reply::{Reply, set_text};
use crate::representation::Representation;
use crate::request::{Path, Request, file};
use axum::extract::State;
use http::header;
use livetape_access::{Actor, Caller, Way};
use livetape_audio::bext::Bext;
use livetape_audio::{Container, End, Frame, RecordingId, Timeline, View, ViewAddress};
use livetape_codec::encode::Codec;
use livetape_store::Recording;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// `GET /recordings/{id}/clip.wav`: as far as is recorded now, if no end is said.
pub(crate) async fn wav_clip(
    State(context): State<Arc<Context>>,
    Path(id): Path<RecordingId>,
    Query(ClipAddress(address)): Query<ClipAddress>,
    request: Request,
) -> Reply {
    let part = part(&context, id, address).await?;
    let (recording, frames) = (&part.recording, part.frames.clone());
    let chunk = bext(recording, &part.timeline, frames.start).chunk(recording.spec);
    let representation = Representation::clip(id, recording.spec, frames, &chunk);
    let rendition = Rendition::Pcm(Container::Wav);
    part.reply(
        &context,
        &request,
        RecordingAddress { view: address, ..RecordingAddress::default() },
        rendition,
        &representation,
    )
    .await
}

/// `GET /recordings/{id}/clip.mp3`: the same, compressed.
pub(crate) async fn mp3_clip(
    State(context): State<Arc<Context>>,
    Path(id): Path<RecordingId>,
    Query(Mp3ClipAddress { view, wanted }): Query<Mp3ClipAddress>,
    request: Request,
) -> Reply {
    let recording = known(&context, id)?;
    let rendition = context.renditions.choose(Kind::Packets(Codec::Mp3), wanted, recording.spec)?;
    let Rendition::Packets(encoding) = rendition else {
        return Err(Problem::internal(&std::io::Error::other("an MP3 without packets")));
    };
    let part = part(&context, id, view).await?;
    let representation = Representation::mp3_clip(id, recording.spec, part.frames.clone(), encoding);
    let (rendition, len) = (Rendition::Packets(encoding.clip()), None);
    part.reply(&context, &request, RecordingAddress { view, len, wanted }, rendition, &representation).await
}

/// What is cut out.
struct Part {
    recording: Arc<Recording>,
    timeline: Arc<Timeline>,
    frames: Range<Frame>,
    /// Whether the address says where it ends, so that it stays what it is.
    settled: bool,
}

async fn part(context: &Context, id: RecordingId, address: ViewAddress) -> Result<Part, Problem> {
    let recording = known(context, id)?;
    let tail = context.library.tail(id).ok_or_else(unattended)?.current();
    let timeline = listing::timeline(context, &recording, tail).await?;
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
    Ok(Part { recording, timeline, frames: view.first..end, settled: known_end.is_some() })
}

impl Part {
    async fn reply(
        self,
        context: &Arc<Context>,
        request: &Request,
        address: RecordingAddress,
        rendition: Rendition,
        representation: &Representation,
    ) -> Reply {
        let Self { recording, frames, settled, .. } = self;
        let mode = if settled { Mode::Huge } else { Mode::Now };
        let view = View { first: frames.start, end: End::At(frames.end) };
        let id = recording.id;
        let (asked, etag) = (asked(request), representation.etag());
        let facts = Facts { bytes: representation.bytes(frames.end), growth: None, etag: &etag };
        let answer = answer::decide(asked, facts);
        let name = format!("attachment; filename=\"{}\"", file(rendition.kind(), &recording, frames.start));
        let address = RecordingAddress { len: Some(mode), ..address };
        let may_hold = false;
        let asking = Asking { context, recording, rendition, mode, address, asked, may_hold, view: Some(view) };
        let mut reply = asking.reply(request, representation, &etag, answer, frames.end)?;
        if reply.status().is_success() && !request.head {
            tell(context, request, id).await;
        }
        set_text(reply.headers_mut(), header::CONTENT_DISPOSITION, &name);
        Ok(reply)
    }
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
