//! What many sources cost the recorder, and when what they send is durable: against a bare loop of append and group
//! sync behind a socket, and the same behind a bare stream of gRPC. Each has a file for each source and the same tick.

use anyhow::Result;
use livetape_audio::{SampleFormat, Spec};
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::runtime;
use livetape_tests::bench::floors::Floor;
use livetape_tests::bench::sources::{Fleet, Noted, Protocol};
use livetape_tests::bench::spread::Runs;
use livetape_tests::bench::table::{Table, quantiles};
use livetape_tests::bench::{introduce, usage};
use livetape_tests::{bench, torture};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const SETTLE: Duration = Duration::from_secs(3);
const PUSH: Duration = Duration::from_secs(8);

fn main() -> Result<()> {
    bench::main(measure)
}

fn measure() -> Result<()> {
    introduce()?;
    let heads = ["sources", "", "cores", "to gRPC", "to socket", "KiB", "acknowledged: p50", "p90", "p99", "most"];
    let mut table = Table::new(&heads.into_iter().chain(["lag: p50", "p90", "p99", "most"]).collect::<Vec<_>>());
    for (count, rate, channels) in [(1, 48_000, 2), (100, 8_000, 1), (100, 48_000, 2), (1_000, 16_000, 1)] {
        compare(count, Spec::new(SampleFormat::S16, rate, channels)?, &mut table)?;
    }
    table.print();
    Ok(())
}

/// One of those that are compared.
struct Server {
    name: &'static str,
    protocol: Protocol,
    cores: Runs,
    /// Memory of a source, in KiB.
    memory: Runs,
    noted: Noted,
}

/// It runs for one round, on an empty folder.
enum Running {
    Recorder(Livetape),
    Floor(Floor),
}

impl Running {
    fn start(name: &str, data: &std::path::Path) -> Result<Self> {
        Ok(match name {
            "livetape" => Self::Recorder(Start::recorder(data).spawn()?),
            "bare gRPC" => Self::Floor(Floor::start(["tonic".as_ref(), data.as_os_str()])?),
            _ => Self::Floor(Floor::start(["socket".as_ref(), data.as_os_str()])?),
        })
    }
    fn at(&self) -> (SocketAddr, u32) {
        match self {
            Self::Recorder(recorder) => (recorder.grpc(), recorder.pid()),
            Self::Floor(floor) => (floor.address(), floor.pid()),
        }
    }
    fn stop(self) -> Result<()> {
        match self {
            Self::Recorder(recorder) => recorder.stop(),
            Self::Floor(_) => Ok(()),
        }
    }
}

fn compare(count: usize, spec: Spec, table: &mut Table) -> Result<()> {
    let server = |name, protocol| Server {
        name,
        protocol,
        cores: Runs::default(),
        memory: Runs::default(),
        noted: Noted::default(),
    };
    let mut servers = [
        server("livetape", Protocol::Grpc),
        server("bare gRPC", Protocol::Grpc),
        server("bare socket", Protocol::Socket),
    ];
    let rounds = torture::setting("LIVETAPE_ROUNDS", 3);
    println!("\n{count} sources of {spec} in chunks of 20 ms; {rounds} rounds of {PUSH:?} in turns");
    for _ in 0..rounds {
        servers.iter_mut().try_for_each(|server| round(server, count, spec))?;
    }
    let (grpc, socket) = (servers[1].cores.clone(), servers[2].cores.clone());
    let shape = if spec.channels() == 1 { "mono" } else { "stereo" };
    let sources = format!("{count} of {} kHz {shape}", spec.rate() / 1000);
    for Server { name, cores, memory, noted, .. } in &mut servers {
        let ratio = |to| format!("{:.2}", cores.ratio(to));
        let cells =
            [sources.clone(), (*name).to_owned(), cores.to_string(), ratio(&grpc), ratio(&socket), memory.to_string()];
        table.row(cells.into_iter().chain(quantiles(&mut noted.acknowledged)).chain(quantiles(&mut noted.lag)));
    }
    Ok(())
}

fn round(server: &mut Server, count: usize, spec: Spec) -> Result<()> {
    let data = tempfile::tempdir()?;
    let running = Running::start(server.name, data.path())?;
    let (to, pid) = running.at();
    let empty = usage::resident(pid)?;
    let noted = runtime().block_on(async {
        let fleet = Fleet::start(to, server.protocol, "s", spec, count).await?;
        tokio::time::sleep(SETTLE).await;
        fleet.measure();
        let (before, started) = (usage::cpu(pid)?, Instant::now());
        tokio::time::sleep(PUSH).await;
        server.cores.push((usage::cpu(pid)? - before).as_secs_f64() / started.elapsed().as_secs_f64());
        server.memory.push(usage::resident(pid)?.saturating_sub(empty) as f64 / count as f64);
        fleet.stop().await
    })?;
    server.noted.acknowledged.extend(noted.acknowledged);
    server.noted.lag.extend(noted.lag);
    running.stop()
}
