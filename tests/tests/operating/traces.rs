//! A chunk of audio in one trace, from its capture through gRPC to the disk, its acknowledgement and a listener; a request
//! in another, from its head through the recorder to its last byte. Seen by a collector, made by the processes that
//! people run.

use anyhow::{Context, Result, ensure};
use livetape_testkit::http;
use livetape_testkit::otlp::{Collector, Exported};
use livetape_testkit::process::Start;
use livetape_testkit::redis::RedisServer;
use livetape_testkit::wait;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
/// Of each source a chunk is traced every ten seconds, and spans are sent every five.
const TRACED: Duration = Duration::from_secs(120);
const READ: &str = "livetape.v1.TapeService/ReadFrames";

#[test]
fn a_chunk_and_a_request_are_traced_to_their_ends() -> Result<()> {
    let (collector, data) = (Collector::start(), tempfile::tempdir()?);
    let livetape = Start::new(data.path()).source("tone").args(["--otlp-url", collector.url()]).spawn()?;
    let durable = collector.wait_for("make durable")?;
    let chunk = collector.wait_for("chunk")?;
    ensure!(chunk.parent().is_empty() && chunk.attribute("stream") == "live", "{chunk:?}");
    ensure!((durable.trace(), durable.parent()) == (chunk.trace(), chunk.id()), "{chunk:?} {durable:?}");
    ensure!(durable.attribute("first_frame") == chunk.attribute("first_frame"), "{chunk:?} {durable:?}");
    ensure!(chunk.attribute("spooled") == "false", "{chunk:?}");
    chunk.attribute("waited_ms").parse::<u64>().context("how long it waited")?;
    // Acknowledged after it was durable, and captured before that.
    let (outer, inner) = (&chunk.span, &durable.span);
    ensure!(outer.start_time_unix_nano <= inner.start_time_unix_nano, "{chunk:?} {durable:?}");
    ensure!(chunk.attribute("captured_at_unix_ns").parse::<u64>()? <= inner.end_time_unix_nano, "{chunk:?}");

    // What comes after the recording has ended by hand is of the next one, in the same call, and counted by that.
    let first = live(livetape.http())?;
    let begun = http::request(livetape.http(), "POST", "/streams/live/recordings", "1.1")
        .header("Content-Length", "0")
        .send()?;
    ensure!(begun.status == 201, "{} {:?}", begun.status, begun.headers);
    let next = wait::until("a chunk of the next recording", TRACED, || {
        let spans = collector.spans().into_iter().filter(|s| s.span.name == "make durable");
        spans.into_iter().find(|s| s.attribute("recording") != first)
    })?;
    let recordings = http::json(livetape.http(), "/recordings?stream=live")?;
    ensure!(recordings["recordings"][1]["id"] == next.attribute("recording"), "{recordings} {next:?}");
    let frames = 48_000 * 60;
    ensure!(next.attribute("first_frame").parse::<u64>()? < frames, "{next:?}");
    livetape.stop()?;
    let spans = collector.spans();
    ensure!(spans.iter().any(|s| s.attribute("http.route") == "/streams/{stream}"), "the last flush: {spans:?}");
    ensure!(spans.len() < 100, "neither chunks nor h2, hyper or tonic flood a collector: {}", spans.len());
    Ok(())
}

/// Waits for a stream, and gives its recording.
fn live(gateway: SocketAddr) -> Result<String> {
    wait::until("a stream", SOON, || {
        let stream = http::json(gateway, "/streams/live").ok()?;
        let recordings = http::json(gateway, "/recordings?stream=live").ok()?;
        let id = recordings["recordings"][0]["id"].as_str()?.to_owned();
        (stream["state"] == "live").then_some(id)
    })
}

/// Hears the stream until `enough`.
fn listen(gateway: SocketAddr, enough: &AtomicBool) -> Result<()> {
    let mut reply = http::get(gateway, "/streams/live/live.pcm").send()?;
    ensure!(reply.status == 200, "{} {:?}", reply.status, reply.headers);
    while !enough.load(Relaxed) {
        reply.for_a_while(Duration::from_millis(200))?;
    }
    Ok(())
}

/// What there is, for whoever has to find out what is missing.
fn shown(spans: &[Exported]) -> String {
    let one = |s: &Exported| {
        format!("{} {} {} in {} {}\n", s.of_process("service.name"), s.span.name, s.id(), s.trace(), s.parent())
    };
    spans.iter().map(one).collect()
}

/// The spans of one trace.
struct Trace(Vec<Exported>);

impl Trace {
    fn of(collector: &Collector, trace: &str) -> Self {
        Self(collector.spans().into_iter().filter(|span| span.trace() == trace).collect())
    }

    /// Those of a role, by their name.
    fn all(&self, role: &str, name: &str) -> Vec<&Exported> {
        let service = format!("livetape-{role}");
        self.0.iter().filter(|s| s.of_process("service.name") == service && s.span.name == name).collect()
    }

    fn one(&self, role: &str, name: &str) -> Option<&Exported> {
        self.all(role, name).first().copied()
    }
}

#[test]
fn one_trace_crosses_capture_recorder_and_gateways() -> Result<()> {
    let (collector, data, redis) = (Collector::start(), tempfile::tempdir()?, RedisServer::start()?);
    let export = ["--otlp-url", collector.url()];
    let lengths = ["--redis-url".to_owned(), redis.url()];
    let recorder = Start::recorder(data.path()).args(export).args(lengths.clone()).spawn()?;
    let gateway = Start::gateway(recorder.grpc()).args(export);
    let near = gateway.clone().args(["--read", "dir"]).args(lengths).data(data.path()).spawn()?;
    let far = gateway.args(["--read", "recorder"]).spawn()?;
    let capture = Start::capture(recorder.grpc()).source("tone").args(export).spawn()?;
    live(near.http())?;
    live(far.http())?;

    let enough = AtomicBool::new(false);
    let trace = std::thread::scope(|scope| {
        let listeners = [&near, &far].map(|gateway| scope.spawn(|| listen(gateway.http(), &enough)));
        let trace = wait::until("a trace that crosses all roles", TRACED, || {
            let delivered = collector.spans().into_iter().filter(|s| s.span.name == "deliver");
            let mut traces = delivered.map(|s| Trace::of(&collector, &s.trace()));
            traces.find(|trace| {
                let roles = [("capture", "chunk"), ("recorder", "make durable"), ("recorder", READ)];
                roles.into_iter().all(|(role, name)| trace.one(role, name).is_some())
                    && trace.all("gateway", "deliver").len() == 2
            })
        });
        enough.store(true, Relaxed);
        for listener in listeners {
            listener.join().expect("no panic")?;
        }
        trace.with_context(|| shown(&collector.spans()))
    })?;

    let chunk = trace.one("capture", "chunk").context("chunk")?;
    let durable = trace.one("recorder", "make durable").context("make durable")?;
    ensure!(chunk.parent().is_empty() && durable.parent() == chunk.id(), "{chunk:?} {durable:?}");
    for (gateway, is_far) in [(&near, false), (&far, true)] {
        let pid = gateway.pid().to_string();
        let deliver = trace.all("gateway", "deliver").into_iter().find(|s| s.of_process("process.pid") == pid);
        let deliver = deliver.with_context(|| format!("a delivery by {pid}"))?;
        ensure!(deliver.parent() == durable.id() && deliver.attribute("delivered") == "true", "{deliver:?}");
        ensure!(deliver.attribute("first_frame") == chunk.attribute("first_frame"), "{deliver:?} {chunk:?}");
        ensure!(deliver.attribute("recording") == durable.attribute("recording"), "{deliver:?} {durable:?}");
        ensure!(deliver.span.start_time_unix_nano >= durable.span.start_time_unix_nano, "{deliver:?} {durable:?}");
        let reads = trace.all("recorder", READ).into_iter().filter(|read| read.parent() == deliver.id()).count();
        ensure!((reads > 0) == is_far, "{reads} reads through the recorder:\n{}", shown(&trace.0));
    }
    for process in [capture, near, far, recorder] {
        process.stop()?;
    }
    Ok(())
}

#[test]
fn a_request_is_traced_through_the_recorder_to_its_last_byte() -> Result<()> {
    let (collector, data) = (Collector::start(), tempfile::tempdir()?);
    let export = ["--otlp-url", collector.url()];
    let recorder = Start::recorder(data.path()).args(export).spawn()?;
    let gateway = Start::gateway(recorder.grpc()).args(["--read", "recorder"]).args(export).spawn()?;
    let capture = Start::capture(recorder.grpc()).source("tone").args(export).spawn()?;
    let id = live(gateway.http())?;
    let (asked, asking) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let target = format!("/recordings/{id}/audio.pcm?from=0&to=4");
    // Once all of it is recorded, the request reads for itself; before, the newest would be read for all who listen.
    http::get(gateway.http(), &target).send()?.body()?;
    let request = http::get(gateway.http(), &target).header("traceparent", &format!("00-{asked}-{asking}-01"));
    let body = request.send()?.body()?;
    for process in [capture, gateway, recorder] {
        process.stop()?;
    }

    let trace = Trace::of(&collector, asked);
    let request = trace.one("gateway", "request").with_context(|| shown(&collector.spans()))?;
    ensure!(request.parent() == asking && request.attribute("http.response.status_code") == "200", "{request:?}");
    ensure!(request.attribute("http.response.body.size") == body.len().to_string(), "{} {request:?}", body.len());
    let reads = trace.all("recorder", READ);
    ensure!(!reads.is_empty(), "no reads:\n{}", shown(&trace.0));
    let during = request.span.start_time_unix_nano..=request.span.end_time_unix_nano;
    for read in reads {
        ensure!(read.parent() == request.id() && read.attribute("rpc.method") == "ReadFrames", "{read:?}");
        ensure!(during.contains(&read.span.start_time_unix_nano), "{request:?} {read:?}");
        ensure!(read.attribute("rpc.grpc.status_code") == "0", "to its last message: {read:?}");
    }
    Ok(())
}
