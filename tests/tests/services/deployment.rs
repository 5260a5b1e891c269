//! A recorder and a gateway, Redis for both of them, and a proxy on each way, so that any of it can go away.

use anyhow::{Context, Result, ensure};
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::proxy::{Cut, Proxy};
use livetape_testkit::pusher::{Push, Pusher};
use livetape_testkit::redis::RedisServer;
use livetape_testkit::{http, wait};
use livetape_tests::counting;
use livetape_tests::growing::SOON;
use livetape_tests::torture::verified;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// A role that may be away at the moment, and comes back on the same ports.
#[derive(Debug)]
pub(crate) struct Process {
    start: Start,
    running: Option<Livetape>,
}

impl Process {
    pub(crate) fn start(start: &Start) -> Result<Self> {
        let running = start.spawn()?;
        Ok(Self { start: start.clone().on_ports_of(&running), running: Some(running) })
    }
    pub(crate) fn running(&self) -> Result<&Livetape> {
        self.running.as_ref().context("it is away")
    }
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.running.take().context("it is away")?.kill()
    }
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.running.take().context("it is away")?.stop()
    }
    pub(crate) fn again(&mut self) -> Result<()> {
        self.running = Some(self.start.spawn()?);
        Ok(())
    }
}

/// Where the gateway reads audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Recorder,
    Dir,
}

/// What can go away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Recorder,
    Gateway,
    Redis,
}

/// Which connections can be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the source to the recorder.
    Uplink,
    /// From the gateway to the recorder.
    Reading,
    /// From both to Redis.
    Lengths,
}

/// All that is needed to listen to a source, but for the source.
#[derive(Debug)]
pub(crate) struct Deployment {
    data: tempfile::TempDir,
    pub(crate) recorder: Process,
    pub(crate) gateway: Process,
    redis: Option<RedisServer>,
    redis_port: Option<u16>,
    uplink: Proxy,
    reading: Proxy,
    lengths: Option<Proxy>,
    http: SocketAddr,
}

impl Deployment {
    pub(crate) fn start(read: Read, with_redis: bool) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let redis = with_redis.then(RedisServer::start).transpose()?;
        let lengths = redis.as_ref().map(|redis| Proxy::start(redis.address())).transpose()?;
        let redis_args: Vec<String> = lengths
            .iter()
            .flat_map(|proxy| ["--redis-url".to_owned(), format!("redis://{}", proxy.address())])
            .collect();
        let recorder = Process::start(&Start::recorder(data.path()).args(redis_args.clone()))?;
        let grpc = recorder.running()?.grpc();
        let (uplink, reading) = (Proxy::start(grpc)?, Proxy::start(grpc)?);
        let gateway = Start::gateway(reading.address()).args(redis_args);
        let gateway = Process::start(&match read {
            Read::Recorder => gateway.args(["--read", "recorder"]),
            Read::Dir => gateway.args(["--read", "dir"]).data(data.path()),
        })?;
        let (http, redis_port) = (gateway.running()?.http(), redis.as_ref().map(RedisServer::port));
        Ok(Self { data, recorder, gateway, redis, redis_port, uplink, reading, lengths, http })
    }

    /// Where sources connect.
    pub(crate) const fn ingest(&self) -> SocketAddr {
        self.uplink.address()
    }
    /// The recorder's data folder.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }
    /// Where listeners connect.
    pub(crate) const fn http(&self) -> SocketAddr {
        self.http
    }

    /// A source outside that remembers what it captured, and its recording, once the gateway has that too.
    pub(crate) fn push(&self) -> Result<(Pusher, String)> {
        let (to, spec, backlog) = (self.ingest(), stereo(), Duration::ZERO);
        let pusher = Pusher::start(Push { to, stream: "live".into(), spec, content: counting, backlog });
        let id = pusher.recording(SOON)?;
        ensure!(self.recording()? == id, "the gateway has another recording");
        Ok((pusher, id))
    }

    /// Waits for the one recording of the stream `live`.
    pub(crate) fn recording(&self) -> Result<String> {
        wait::until("the recording", SOON, || {
            let list = http::json(self.http, "/recordings?stream=live").ok()?;
            let all = list["recordings"].as_array()?;
            assert!(all.len() <= 1, "one recording goes on: {all:?}");
            all.first()?["id"].as_str().map(str::to_owned)
        })
    }

    fn process(&mut self, part: Part) -> Option<&mut Process> {
        match part {
            Part::Recorder => Some(&mut self.recorder),
            Part::Gateway => Some(&mut self.gateway),
            Part::Redis => None,
        }
    }
    pub(crate) fn redis(&self) -> Result<&RedisServer> {
        self.redis.as_ref().context("Redis is away")
    }
    pub(crate) fn kill(&mut self, part: Part) -> Result<()> {
        match self.process(part) {
            Some(process) => process.kill(),
            None => self.redis.take().context("Redis is away")?.kill().map(drop),
        }
    }
    /// Starts it after it was killed or stopped. Redis comes back empty.
    pub(crate) fn again(&mut self, part: Part) -> Result<()> {
        if let Some(process) = self.process(part) {
            return process.again();
        }
        self.redis_again(&[])
    }
    /// Starts Redis, empty, with these arguments.
    pub(crate) fn redis_again(&mut self, args: &[&str]) -> Result<()> {
        let args: Vec<String> = args.iter().copied().map(str::to_owned).collect();
        self.redis = Some(RedisServer::start_on(self.redis_port.context("there was none")?, &args)?);
        Ok(())
    }
    pub(crate) fn hold(&mut self, part: Part) -> Result<()> {
        match self.process(part) {
            Some(process) => process.running()?.hold(),
            None => self.redis()?.hold(),
        }
    }
    pub(crate) fn go_on(&mut self, part: Part) -> Result<()> {
        match self.process(part) {
            Some(process) => process.running()?.go_on(),
            None => self.redis()?.go_on(),
        }
    }
    pub(crate) fn cut(&self, way: Way, how: Cut) -> Result<()> {
        match way {
            Way::Uplink => self.uplink.cut(how),
            Way::Reading => self.reading.cut(how),
            Way::Lengths => self.lengths.as_ref().context("there is no Redis")?.cut(how),
        }
        Ok(())
    }

    /// Stops everything in order and looks through what is on disk.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.gateway.stop()?;
        self.recorder.stop()?;
        verified(self.data.path())
    }
}
