//! A chunk of audio in one trace, from its capture through gRPC to the disk and its acknowledgement; a request in
//! another. Seen by a collector, made by the process that people run.

use anyhow::{Result, ensure};
use livetape_testkit::http;
use livetape_testkit::otlp::Collector;
use livetape_testkit::process::Start;
use livetape_testkit::wait;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_chunk_and_a_request_are_traced_to_their_ends() -> Result<()> {
    let (collector, data) = (Collector::start(), tempfile::tempdir()?);
    let livetape = Start::new(data.path()).source("tone").args(["--otlp-url", collector.url()]).spawn()?;
    let durable = collector.wait_for("make durable")?;
    let chunk = collector.wait_for("chunk")?;
    ensure!(chunk.parent().is_empty() && chunk.attribute("stream") == "live", "{chunk:?}");
    ensure!((durable.trace(), durable.parent()) == (chunk.trace(), chunk.id()), "{chunk:?} {durable:?}");
    ensure!(durable.attribute("first_frame") == chunk.attribute("first_frame"), "{chunk:?} {durable:?}");
    // Acknowledged after it was durable, and captured before that.
    let (outer, inner) = (&chunk.span, &durable.span);
    ensure!(outer.start_time_unix_nano <= inner.start_time_unix_nano, "{chunk:?} {durable:?}");
    ensure!(chunk.attribute("captured_at_unix_ns").parse::<u64>()? <= inner.end_time_unix_nano, "{chunk:?}");

    wait::until("a stream", SOON, || {
        (http::json(livetape.http(), "/streams/live").ok()?["state"] == "live").then_some(())
    })?;
    livetape.stop()?;
    let spans = collector.spans();
    ensure!(spans.iter().any(|s| s.attribute("http.route") == "/streams/{stream}"), "the last flush: {spans:?}");
    ensure!(spans.len() < 100, "neither chunks nor h2, hyper or tonic flood a collector: {}", spans.len());
    Ok(())
}
