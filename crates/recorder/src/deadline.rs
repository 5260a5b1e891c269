//! When a caller wants its call to be over. The library sees to it only until the first answer.

use std::time::Duration;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

/// A moment that may never come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// What the call's `grpc-timeout` comes to, counted from now.
    pub(crate) fn of(metadata: &MetadataMap) -> Self {
        let text = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok());
        Self(text.and_then(time_limit).and_then(|limit| Instant::now().checked_add(limit)))
    }

    /// Waits for it. Gives what the caller is told then, if it still listens.
    pub(crate) async fn passed(self) -> Status {
        match self.0 {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
        crate::status::refused(Code::DeadlineExceeded, "DEADLINE_PASSED", [], "the deadline of the call has passed")
    }
}

/// `grpc-timeout`: at most 8 digits and a unit.
fn time_limit(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(n * 3600)),
        "M" => Some(Duration::from_secs(n * 60)),
        "S" => Some(Duration::from_secs(n)),
        "m" => Some(Duration::from_millis(n)),
        "u" => Some(Duration::from_micros(n)),
        "n" => Some(Duration::from_nanos(n)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_limits() {
        let seconds = |text| time_limit(text).map(|limit| limit.as_secs_f64());
        assert_eq!(["2H", "3M", "4S", "500m"].map(seconds), [Some(7200.0), Some(180.0), Some(4.0), Some(0.5)]);
        assert_eq!(["99999999H", "1000000u", "0n"].map(seconds), [Some(359_999_996_400.0), Some(1.0), Some(0.0)]);
        for bad in ["", "S", "é", "5", "5s", "-1S", "123456789S", "1.5S"] {
            assert_eq!(time_limit(bad), None, "{bad}");
        }
    }
}
