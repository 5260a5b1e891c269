//! What a stream's source plays and what comes next, where the source has a list of it: asked of the recorder, which asks the
//! source. And what somebody says that is playing.

use crate::context::Context;
use crate::operations::{LINE, Nothing, Operator, refused};
use crate::problem::Problem;
use crate::query::{Plain, Query};
use crate::receive::Json;
use crate::reply::{Reply, empty, json};
use crate::request::Path;
use axum::extract::FromRequestParts;
use axum::response::IntoResponse;
use http::StatusCode;
use http::request::Parts;
use livetape_audio::{StreamName, Title};
use livetape_proto::v1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What plays and what comes next.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Program {
    playing: String,
    /// As far as is known: files by their names, until they play.
    upcoming: Vec<String>,
}

/// What is playing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Playing {
    /// Empty for nothing; no control characters.
    #[schemars(length(max = Title::MAX_CHARS), regex(pattern = LINE))]
    title: String,
}

/// Whoever asks only to know. A gateway through which nothing is changed may know no recorder.
pub(crate) struct Asking(Operator);

impl FromRequestParts<Arc<Context>> for Asking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<Context>) -> Result<Self, Problem> {
        if context.operations.is_none() {
            return Err(Problem::unable("this gateway knows no recorder to ask what is playing"));
        }
        Operator::from_request_parts(parts, context).await.map(Self)
    }
}

/// `GET /streams/{stream}/program`.
pub(crate) async fn program(Asking(operator): Asking, Path(stream): Path<StreamName>, _: Query<Plain>) -> Reply {
    let message = v1::GetProgramRequest { stream: stream.into() };
    let said = operator.ask(message, async |mut to, message| to.get_program(message).await).await;
    let v1::GetProgramResponse { playing, upcoming } = said.map_err(refused)?;
    json(&Program { playing, upcoming })
}

/// `POST /streams/{stream}/skip`.
pub(crate) async fn skip(
    operator: Operator,
    Path(stream): Path<StreamName>,
    _: Query<Plain>,
    _: Json<Nothing>,
) -> Reply {
    let message = v1::SkipTitleRequest { stream: stream.into() };
    let said = operator.ask(message, async |mut to, message| to.skip_title(message).await).await;
    let v1::SkipTitleResponse { playing, upcoming } = said.map_err(refused)?;
    json(&Program { playing, upcoming })
}

/// `PUT /streams/{stream}/title`.
pub(crate) async fn entitle(
    operator: Operator,
    Path(stream): Path<StreamName>,
    _: Query<Plain>,
    Json(Playing { title }): Json<Playing>,
) -> Reply {
    let message = v1::SetTitleRequest { stream: stream.into(), title };
    let said = operator.ask(message, async |mut to, message| to.set_title(message).await).await;
    said.map_err(refused)?;
    Ok((StatusCode::NO_CONTENT, empty()).into_response())
}
