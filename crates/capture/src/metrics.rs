//! What a capture counts: each source's [`Status`], read when somebody asks. Counting costs a source nothing.

use crate::status::{Status, Statuses};
use livetape_audio::StreamName;
use livetape_service::metrics::{Metrics, MetricsError};
use tokio::sync::watch;

/// Declares everything for these sources.
pub(crate) fn declare(sources: &Statuses) -> Result<Metrics, MetricsError> {
    let metrics = Metrics::default();
    let known = |name, help, read: fn(&Status) -> Option<f64>| {
        let sources = sources.clone();
        metrics.reading(name, help, "stream", move || {
            let one = |(stream, status): &(StreamName, watch::Receiver<Status>)| {
                Some((stream.to_string(), read(&status.borrow())?))
            };
            sources.all().iter().filter_map(one).collect()
        })
    };
    let declare = |name, help, read: fn(&Status) -> u64| {
        let sources = sources.clone();
        metrics.reading(name, help, "stream", move || {
            sources.all().iter().map(|(stream, status)| (stream.to_string(), read(&status.borrow()) as f64)).collect()
        })
    };
    declare("livetape_capture_captured_frames_total", "Frames captured.", |s| s.captured.get())?;
    declare("livetape_capture_acknowledged_frames_total", "Frames that are durable.", |s| s.acknowledged.get())?;
    declare("livetape_capture_unwanted_frames_total", "Frames captured on standby, and not kept.", |s| {
        s.unwanted.get()
    })?;
    declare("livetape_capture_missed_frames_total", "Frames that were never captured.", |s| s.missed.get())?;
    // May go down: what was given up may turn out to be durable.
    declare("livetape_capture_given_up_frames", "Frames given up for want of room.", |s| s.given_up.get())?;
    declare("livetape_capture_waiting_frames", "Frames that wait for the recorder.", |s| s.waiting().get())?;
    declare("livetape_capture_spooled_frames", "Of these, frames in the spool.", |s| s.spooled.get())?;
    declare("livetape_capture_spooled_bytes", "Bytes of audio in the spool.", |s| s.spooled_bytes)?;
    declare("livetape_capture_reconnects_total", "Opens after the first.", |s| s.opened.saturating_sub(1))?;
    declare("livetape_capture_connected", "1 while the recorder takes the audio.", |s| s.connected.into())?;
    known("livetape_capture_card_present", "1 while the sound card gives audio.", |s| {
        Some(f64::from(u8::from(s.card?.present)))
    })?;
    known("livetape_capture_card_losses_total", "How often the sound card went away.", |s| {
        Some(s.card?.losses as f64)
    })?;
    known("livetape_capture_xruns_total", "How often the sound card was read too late.", |s| {
        Some(s.card?.xruns as f64)
    })?;
    let drift = "How fast the sound card's clock is, in parts in a million.";
    known("livetape_capture_drift_ppm", drift, |s| Some(s.card?.drift?.ppm()))?;
    declare("livetape_capture_standby", "1 while nothing is kept until somebody begins.", |s| s.standing_by.into())?;
    Ok(metrics)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Drift;
    use crate::status::CardStatus;
    use livetape_audio::FrameCount;

    #[test]
    fn what_is_shown_is_what_is_true_when_somebody_asks() {
        let all = Statuses::default();
        let statuses = ["a", "b"].map(|name| all.add(name.parse().unwrap()));
        let metrics = declare(&all).unwrap();
        statuses[1].send_modify(|status| {
            status.connected = true;
            status.captured = FrameCount::new(1_050);
            status.acknowledged = FrameCount::new(700);
            status.given_up = FrameCount::new(100);
            status.unwanted = FrameCount::new(50);
            status.standing_by = true;
            status.missed = FrameCount::new(30);
            status.opened = 3;
            status.spooled = FrameCount::new(50);
            status.spooled_bytes = 200;
            let drift = Some(Drift::from_ppm(-12.5));
            status.card = Some(CardStatus { present: true, drift, xruns: 4, losses: 2 });
        });
        let text = metrics.text();
        for line in [
            "# TYPE livetape_capture_captured_frames_total counter",
            "# TYPE livetape_capture_given_up_frames gauge",
            "livetape_capture_captured_frames_total{stream=\"a\"} 0",
            "livetape_capture_captured_frames_total{stream=\"b\"} 1050",
            "livetape_capture_unwanted_frames_total{stream=\"b\"} 50",
            "livetape_capture_standby{stream=\"a\"} 0",
            "livetape_capture_standby{stream=\"b\"} 1",
            "livetape_capture_acknowledged_frames_total{stream=\"b\"} 700",
            "livetape_capture_given_up_frames{stream=\"b\"} 100",
            "livetape_capture_missed_frames_total{stream=\"b\"} 30",
            "livetape_capture_waiting_frames{stream=\"b\"} 200",
            "livetape_capture_spooled_frames{stream=\"b\"} 50",
            "livetape_capture_spooled_bytes{stream=\"b\"} 200",
            "livetape_capture_reconnects_total{stream=\"a\"} 0",
            "livetape_capture_reconnects_total{stream=\"b\"} 2",
            "livetape_capture_connected{stream=\"a\"} 0",
            "livetape_capture_connected{stream=\"b\"} 1",
            "livetape_capture_card_present{stream=\"b\"} 1",
            "livetape_capture_card_losses_total{stream=\"b\"} 2",
            "livetape_capture_xruns_total{stream=\"b\"} 4",
            "livetape_capture_drift_ppm{stream=\"b\"} -12.5",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("card_present{stream=\"a\"}"), "it has no sound card");
    }
}
