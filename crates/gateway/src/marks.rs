//! The marks of a recording for other programs: as JSON, as a table (CSV, RFC 4180), and as labels of Audacity.
//!
//! Texts of marks are other people's. A table program must not take one for a formula, nor a label track one for two labels.

use crate::context::Context;
use crate::listing;
use crate::problem::Problem;
use crate::query::{Plain, Query};
use crate::recording::{known, unattended};
use crate::reply::{Reply, json, set_text, text};
use crate::request::{Path, file_stem};
use axum::extract::State;
use http::StatusCode;
use http::header::CONTENT_DISPOSITION;
use livetape_audio::{Entry, Frame, RecordingId, Spec, WallTime};
use livetape_store::Recording;
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt::Write;
use std::sync::Arc;

type Here = State<Arc<Context>>;

/// The marks of a recording, in the order of their frames.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Marks {
    recording: RecordingId,
    marks: Vec<Marked>,
}

/// A mark as others see it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
struct Marked {
    frame: Frame,
    seconds: f64,
    /// Time of day of the frame; null if nobody knows it.
    time: Option<WallTime>,
    text: String,
}

/// `GET /recordings/{id}/marks`.
pub(crate) async fn as_json(State(context): Here, Path(id): Path<RecordingId>, _: Query<Plain>) -> Reply {
    let (_, marks) = find(&context, id).await?;
    json(&Marks { recording: id, marks })
}

/// `GET /recordings/{id}/marks.csv`.
pub(crate) async fn as_csv(State(context): Here, Path(id): Path<RecordingId>, _: Query<Plain>) -> Reply {
    let (recording, marks) = find(&context, id).await?;
    Ok(named(&recording, "csv", text(StatusCode::OK, "text/csv; charset=utf-8; header=present", csv(&marks))))
}

/// `GET /recordings/{id}/marks.txt`: labels of Audacity.
pub(crate) async fn as_labels(State(context): Here, Path(id): Path<RecordingId>, _: Query<Plain>) -> Reply {
    let (recording, marks) = find(&context, id).await?;
    let labels = labels(recording.spec, &marks);
    Ok(named(&recording, "txt", text(StatusCode::OK, "text/plain; charset=utf-8", labels)))
}

fn named(recording: &Recording, extension: &str, mut reply: axum::response::Response) -> axum::response::Response {
    let name = format!("attachment; filename=\"{}-marks.{extension}\"", file_stem(recording));
    set_text(reply.headers_mut(), CONTENT_DISPOSITION, &name);
    reply
}

/// The marks in the order of their frames; of one frame in the order of their coming. The recorder takes only so many.
async fn find(context: &Context, id: RecordingId) -> Result<(Arc<Recording>, Vec<Marked>), Problem> {
    let recording = known(context, id)?;
    let tail = context.library.tail(id).ok_or_else(unattended)?.current();
    let timeline = listing::timeline(context, &recording, tail).await?;
    let marks = timeline.entries().iter().filter_map(|entry| match entry {
        Entry::Mark(mark) => Some(mark),
        _ => None,
    });
    let mut marks: Vec<_> = marks
        .map(|mark| Marked {
            frame: mark.frame,
            seconds: listing::seconds(recording.spec, mark.frame.since(Frame::ZERO)),
            time: timeline.time_of(mark.frame),
            text: mark.text.to_string(),
        })
        .collect();
    marks.sort_by_key(|mark| mark.frame);
    Ok((recording, marks))
}

fn csv(marks: &[Marked]) -> String {
    let mut out = String::from("frame,seconds,time,text\r\n");
    for Marked { frame, seconds, time, text } in marks {
        let time = time.map_or_else(String::new, |time| time.to_string());
        // Writing to a string cannot fail.
        _ = write!(out, "{frame},{seconds:.9},{time},\"{}\"\r\n", cell(text));
    }
    out
}

/// A text within quotation marks. What a table program would take for a formula gets an apostrophe before it.
fn cell(text: &str) -> String {
    let is_formula = text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '|', '%'])
        || text.starts_with(['\t', '\r', '\n']);
    let apostrophe = if is_formula { "'" } else { "" };
    format!("{apostrophe}{}", text.replace('"', "\"\""))
}

/// Begin and end, which are the same, and the text, with tabs between them. Seconds are rounded to the nanosecond, by which a
/// frame is found again at every rate.
fn labels(spec: Spec, marks: &[Marked]) -> String {
    let mut out = String::new();
    for mark in marks {
        let at = spec.duration(mark.frame.since(Frame::ZERO));
        let (seconds, nanos) = (at.as_secs(), at.subsec_nanos());
        let one_line = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        let text: String = mark.text.chars().map(|c| if one_line(c) { ' ' } else { c }).collect();
        _ = writeln!(out, "{seconds}.{nanos:09}\t{seconds}.{nanos:09}\t{text}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::SampleFormat;

    fn marked(text: &str) -> Marked {
        let time = "2026-11-20T14:30:00.5Z".parse().ok();
        Marked { frame: Frame::new(72_000), seconds: 1.5, time, text: text.into() }
    }

    #[test]
    fn a_table_has_a_row_for_each_mark_and_no_formula() {
        let row = |text: &str| csv(&[marked(text)]).split_once("\r\n").unwrap().1.to_owned();
        assert_eq!(
            row("Guten Tag, \"süß\" 🎉"),
            "72000,1.500000000,2026-11-20T14:30:00.5Z,\"Guten Tag, \"\"süß\"\" 🎉\"\r\n"
        );
        for formula in ["=1+1", "+1", "-2", "@SUM(A1)", " =1", "＝1", "\t=1", "|cmd", "%0A"] {
            assert!(row(formula).ends_with(&format!(",\"'{formula}\"\r\n")), "{formula:?}: {:?}", row(formula));
        }
        assert!(row("a=1").ends_with(",\"a=1\"\r\n") && row("").ends_with(",\"\"\r\n"));
        let nobody_knows = csv(&[Marked { time: None, ..marked("x") }]);
        assert_eq!(nobody_knows, "frame,seconds,time,text\r\n72000,1.500000000,,\"x\"\r\n");
    }

    #[test]
    fn a_label_is_one_line() {
        let spec = Spec::new(SampleFormat::S16, 48_000, 2).unwrap();
        let hostile = marked("one\ttwo\nthree\r\u{2028}\u{85}four \u{202E}abc <b>");
        assert_eq!(labels(spec, &[hostile]), "1.500000000\t1.500000000\tone two three   four \u{202E}abc <b>\n");
    }
}
