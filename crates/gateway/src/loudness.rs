//! How loud a part of a recording is (EBU R 128), as a whole and each of its minutes: from what the recorder measures beside
//! what it records. What is loud right now is in `levels`.

use crate::context::Context;
use crate::listing;
use crate::problem::Problem;
use crate::query::{LoudnessAddress, Query};
use crate::recording::{known, unattended};
use crate::reply::{Reply, json};
use crate::request::Path;
use axum::extract::State;
use livetape_audio::{Frame, RecordingId, Tail};
use livetape_store::{Measured, Recording};
use schemars::JsonSchema;
use serde::Serialize;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// When to ask again for what is being measured.
const AGAIN: Duration = Duration::from_secs(5);

/// How loud a part of a recording is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Loudnesses")]
pub(crate) struct LoudnessItem {
    recording: RecordingId,
    /// Where the part begins: at a minute, counted from the first frame of the recording.
    first_frame: Frame,
    /// The frame after the last one that was measured.
    end_frame: Frame,
    /// Integrated loudness in LUFS; null if there is only silence.
    integrated: Option<f64>,
    minutes: Vec<MinuteItem>,
    /// The first minute of the part that is not told of by itself; null if all are.
    next_frame: Option<Frame>,
}

/// A minute, or what there is of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LoudnessMinute")]
struct MinuteItem {
    first_frame: Frame,
    end_frame: Frame,
    /// Integrated loudness in LUFS; null if there is only silence.
    integrated: Option<f64>,
}

/// `GET /recordings/{id}/loudness`.
pub(crate) async fn loudness(
    State(context): State<Arc<Context>>,
    Path(id): Path<RecordingId>,
    Query(address): Query<LoudnessAddress>,
) -> Reply {
    let recording = known(&context, id)?;
    let tail = context.library.tail(id).ok_or_else(unattended)?.current();
    let timeline = listing::timeline_for(&context, &recording, tail, address.view).await?;
    let view = address.view.resolve(recording.spec, &timeline, &tail, Duration::ZERO)?;
    let end = view.known_end(&timeline, &tail).unwrap_or(tail.end).max(view.first);
    let told = find(&context, &recording, tail, view.first..end, address.minutes).await?;
    let told_to = told.minutes.last().map_or(told.first, |minute| minute.end);
    json(&LoudnessItem {
        recording: id,
        first_frame: told.first,
        end_frame: told.end,
        integrated: told.integrated,
        minutes: told
            .minutes
            .iter()
            .map(|minute| MinuteItem {
                first_frame: minute.first,
                end_frame: minute.end,
                integrated: minute.integrated,
            })
            .collect(),
        next_frame: (told_to < told.end).then_some(told_to),
    })
}

/// What is measured; of a finished recording all of it.
pub(crate) async fn find(
    context: &Context,
    recording: &Arc<Recording>,
    tail: Tail,
    frames: Range<Frame>,
    minutes: u32,
) -> Result<Measured, Problem> {
    let read = context.library.loudness(recording.clone(), frames.clone(), minutes).await;
    let is_whole = |told: &Measured| told.end >= frames.end || !tail.is_sealed();
    let told = match (read, &context.operations) {
        (Ok(told), _) if is_whole(&told) => Ok(told),
        // The recorder has it measured, and may know better.
        (_, Some(operations)) => operations.loudness(recording, frames.clone(), minutes).await,
        (read, None) => read,
    };
    let told = told.map_err(|error| match known(context, recording.id) {
        Ok(_) => Problem::unread(&error),
        Err(gone) => gone,
    })?;
    if !is_whole(&told) {
        known(context, recording.id)?;
        return Err(Problem::later("the loudness of this recording is being measured", "ask again in a moment", AGAIN));
    }
    Ok(told)
}
