//! How a source of each kind is run: opened, given a fallback and a meter if it has them, and put into its session.

use super::config::SourceConfig;
use crate::intake::ports::Ports;
use crate::meter::{Meter, Metered};
use crate::session::{Session, SessionError};
use crate::source_spec::SourceSpec;
use crate::sources::device::{Cards, Device, Wish};
use crate::sources::fallback::{Backup, Fallback};
use crate::sources::file::{Files, Playing};
use crate::sources::relay::{Relay, RelayUrl};
use crate::sources::{Generator, Source, SourceError, Stdin, process_stdin, voice};
use crate::station::Station;
use livetape_audio::{Instance, Spec};
use livetape_proto::Opening;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What the recorder is told of it.
pub(super) fn opening(source: &SourceConfig, spec: Spec) -> Opening {
    Opening {
        stream: source.stream.clone(),
        source: source.source.name(),
        instance: Instance(uuid::Uuid::new_v4().into_bytes()),
        spec,
        resume: None,
        title: source.title.clone(),
        genre: source.genre.clone(),
        ending: false,
    }
}

/// Runs it until it ends, or until `shutdown`.
pub(super) async fn run(
    session: Session,
    source: SourceConfig,
    cards: Cards,
    ports: Arc<Ports>,
    shutdown: CancellationToken,
) -> Result<(), SessionError> {
    let spec = session.opening.spec;
    if let SourceSpec::File(path) = &source.source {
        let files = tokio::select! {
            files = Files::open(path, source.playing, source.shape) => files.map_err(SourceError::from)?,
            () = shutdown.cancelled() => return Ok(()),
        };
        return run_source(session, files, source.meter, shutdown).await;
    }
    if let SourceSpec::Device(card) = source.source.clone() {
        let wish = Wish { shape: source.shape, buffer: source.buffer };
        let device = tokio::select! {
            device = Device::open(cards, card, wish, session.status.clone()) => device.map_err(SourceError::from)?,
            () = shutdown.cancelled() => return Ok(()),
        };
        return run_backed(session, device, source, shutdown).await;
    }
    if let SourceSpec::Relay(url) = source.source.clone() {
        return run_relay(session, url, source, shutdown).await;
    }
    if source.source == SourceSpec::Push {
        let (stream, (pushed, running)) = (source.stream.clone(), ports.hold(&source.stream, spec));
        let session = Session { publisher: running.publisher(), ..session };
        let outcome = run_backed(session, pushed, source, shutdown).await;
        ports.over(&stream, &running, &outcome);
        return outcome;
    }
    match voice(&source.source, spec).map_err(SourceError::from)? {
        Some(voice) => run_source(session, Generator::new(voice, spec), source.meter, shutdown).await,
        None => {
            let reader = process_stdin().map_err(SourceError::from)?;
            let stdin = tokio::select! {
                stdin = Stdin::open(reader, spec) => stdin?,
                () = shutdown.cancelled() => return Ok(()),
            };
            run_backed(session, stdin, source, shutdown).await
        }
    }
}

async fn run_relay(
    mut session: Session,
    url: RelayUrl,
    source: SourceConfig,
    shutdown: CancellationToken,
) -> Result<(), SessionError> {
    let relay = match source.fallback {
        Some(_) => tokio::select! {
            relay = Relay::start(url, session.opening.spec) => relay,
            () = shutdown.cancelled() => return Ok(()),
        },
        None => tokio::select! {
            relay = Relay::open(url, source.shape) => relay?,
            () = shutdown.cancelled() => return Ok(()),
        },
    };
    let Opening { title, genre, .. } = session.opening;
    let Station { title, genre } = Station { title, genre }.or(relay.station().clone());
    session.opening = Opening { title, genre, ..session.opening };
    run_backed(session, relay, source, shutdown).await
}

/// With its fallback, if it has one.
async fn run_backed(
    session: Session,
    main: impl Source,
    source: SourceConfig,
    shutdown: CancellationToken,
) -> Result<(), SessionError> {
    let backup = match source.fallback {
        None => return run_source(session, main, source.meter, shutdown).await,
        Some(SourceSpec::File(path)) => {
            let playing = Playing { repeat: true, ..Playing::default() };
            let files = Files::open(&path, playing, main.spec().into()).await;
            Backup::Files(Box::new(files.map_err(SourceError::from)?))
        }
        Some(voice) => Backup::Voice(voice, None),
    };
    run_source(session, Fallback::new(main, backup), source.meter, shutdown).await
}

async fn run_source(
    mut session: Session,
    source: impl Source,
    meter: Option<Meter>,
    shutdown: CancellationToken,
) -> Result<(), SessionError> {
    session.opening.spec = source.spec();
    session.status.send_modify(|status| status.begun = true);
    match meter {
        Some(meter) => session.run(Metered { source, meter }, shutdown).await,
        None => session.run(source, shutdown).await,
    }
}
