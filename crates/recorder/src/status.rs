//! How calls are refused: a code, a text for people that says what to do, and details for programs.
//!
//! The details are those of google.rpc (error_details.proto): `ErrorInfo` always, with a reason that is never renamed
//! and the numbers that matter; `BadRequest` for a field that is wrong; `RetryInfo` where the same may go well later.
//! docs/grpc.md lists the reasons.

use livetape_service::Exceeded;
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Whose reasons they are.
const DOMAIN: &str = "livetape.v1";
/// When it is worth trying again.
const AGAIN: Duration = Duration::from_secs(1);

fn details<const N: usize>(reason: &str, facts: [(&str, String); N]) -> ErrorDetails {
    let facts: HashMap<String, String> = facts.map(|(name, value)| (name.to_owned(), value)).into();
    ErrorDetails::with_error_info(reason, DOMAIN, facts)
}

/// It cannot be done as asked.
pub(crate) fn refused<const N: usize>(
    code: Code,
    reason: &str,
    facts: [(&str, String); N],
    text: impl Into<String>,
) -> Status {
    Status::with_error_details(code, text, details(reason, facts))
}

/// A field of the request can never be right.
pub(crate) fn invalid(field: &str, text: impl Into<String>) -> Status {
    let (text, mut details) = (text.into(), details("INVALID_FIELD", [("field", field.to_owned())]));
    details.add_bad_request_violation(field, &text);
    Status::with_error_details(Code::InvalidArgument, text, details)
}

/// The same may go well a little later.
pub(crate) fn later(code: Code, reason: &str, text: impl Into<String>) -> Status {
    let mut details = details(reason, []);
    details.set_retry_info(Some(AGAIN));
    Status::with_error_details(code, text, details)
}

/// A client has come to a limit.
pub(crate) fn limited(exceeded: &Exceeded) -> Status {
    limit(exceeded.limit, format!("{exceeded}: {}", exceeded.hint()), exceeded.again)
}

/// There is no more of something, by the name of its limit.
pub(crate) fn limit(name: &str, text: impl Into<String>, again: Duration) -> Status {
    let mut details = details("LIMIT_REACHED", [("limit", name.to_owned())]);
    details.set_retry_info(Some(again));
    Status::with_error_details(Code::ResourceExhausted, text, details)
}

/// The recorder is stopping.
pub(crate) fn stopping() -> Status {
    later(Code::Unavailable, "STOPPING", "the recorder is stopping; open or ask again later")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn is_reason(word: &str) -> bool {
        word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    }

    /// The words in quotes that look like reasons, of all sources below a folder, but for their tests.
    fn said(folder: &Path, reasons: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                said(&path, reasons);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = std::fs::read_to_string(path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
                reasons.extend(code.split('"').filter(|word| is_reason(word)).map(String::from));
            }
        }
    }

    #[test]
    fn each_reason_stands_in_the_documentation() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut reasons = BTreeSet::new();
        said(&root.join("src"), &mut reasons);
        assert!(reasons.contains("HOLE") && reasons.len() > 30, "{reasons:?}");
        let docs = std::fs::read_to_string(root.join("../../docs/grpc.md")).unwrap();
        let table = docs.lines().skip_while(|line| *line != "## What errors carry").skip(1);
        let rows = table.take_while(|line| !line.starts_with('#')).filter_map(|line| line.strip_prefix("| `"));
        let column = rows.filter_map(|row| row.split(" | ").next());
        let told: BTreeSet<_> =
            column.flat_map(|cell| cell.split('`')).filter(|word| is_reason(word)).map(String::from).collect();
        assert_eq!(reasons.symmetric_difference(&told).collect::<Vec<_>>(), Vec::<&String>::new());
    }

    #[test]
    fn a_program_can_read_why() {
        let hole = refused(Code::OutOfRange, "HOLE", [("next_frame", "480".into())], "a hole");
        let info = hole.get_details_error_info().unwrap();
        assert_eq!((hole.code(), hole.message()), (Code::OutOfRange, "a hole"));
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("HOLE", "livetape.v1"));
        assert_eq!(info.metadata["next_frame"], "480");

        let wrong = invalid("open.spec", "impossible").get_details_bad_request().unwrap();
        assert_eq!(
            (wrong.field_violations[0].field.as_str(), wrong.field_violations[0].description.as_str()),
            ("open.spec", "impossible")
        );
        assert_eq!(stopping().get_details_retry_info().unwrap().retry_delay, Some(AGAIN));
    }
}
