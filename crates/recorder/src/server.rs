//! The services of the recorder on one gRPC server: limits, health, reflection.

use crate::audit::{Book, Refusals};
use crate::catalogue_service::Catalogues;
use crate::checks::Checks;
use crate::gate::GateLayer;
use crate::incoming::Doors;
use crate::keeper::Keeper;
use crate::operation_service::Operations;
use crate::outlet::Outlets;
use crate::service::Ingest;
use crate::stream::Shared;
use crate::streams::Streams;
use crate::tape_service::Tapes;
use livetape_proto::v1::catalogue_service_server::{self, CatalogueServiceServer};
use livetape_proto::v1::ingest_service_server::{self, IngestServiceServer};
use livetape_proto::v1::operation_service_server::{self, OperationServiceServer};
use livetape_proto::v1::tape_service_server::{self, TapeServiceServer};
use livetape_proto::{DESCRIPTORS, MAX_MESSAGE_BYTES};
use livetape_service::reply;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::transport::server::Router;
use tonic_health::ServingStatus;
use tower::layer::util::{Identity, Stack};

/// Most bytes of a request that carries no audio.
const MAX_REQUEST: usize = 64 << 10;
/// Most bytes of a request of whoever asks whether the recorder is well: the name of a service.
const MAX_CHECK: usize = 4 << 10;
/// Most calls at once in one connection. A gateway has one for each of its listeners.
const MAX_CALLS: u32 = 2048;

/// Whose health is told; that of the whole has no name.
const SERVED: [&str; 5] = [
    "",
    ingest_service_server::SERVICE_NAME,
    catalogue_service_server::SERVICE_NAME,
    tape_service_server::SERVICE_NAME,
    operation_service_server::SERVICE_NAME,
];

/// Everything that the recorder serves.
pub(crate) async fn router(
    shared: &Arc<Shared>,
    streams: &Arc<Streams>,
    keeper: &Keeper,
    calls: &TaskTracker,
    shutdown: &CancellationToken,
    doors: &Doors,
) -> anyhow::Result<Router<Stack<GateLayer, Identity>>> {
    let book = Book::new(keeper.clone());
    let instruments = Arc::clone(&shared.instruments);
    let outlets = Outlets::new(calls.clone(), shutdown.clone(), shared.limits.stall, Arc::clone(&instruments));
    let desks = Arc::clone(&shared.desks);
    let ingest = Ingest::new(Arc::clone(streams), desks, calls.clone(), instruments, shutdown.clone(), book.clone());
    let catalogue = Catalogues::new(Arc::clone(shared), outlets.clone());
    let tapes = Tapes::new(Arc::clone(shared), outlets, book.clone());
    let operations = Operations::new(Arc::clone(shared), keeper.clone(), book, calls.clone(), shutdown.clone());
    let gate = GateLayer {
        access: Arc::clone(&shared.access),
        instruments: Arc::clone(&shared.instruments),
        limiter: Arc::clone(&doors.limiter),
        proxies: Arc::clone(&doors.proxies),
        refusals: Arc::new(Refusals::new()),
        checks: Arc::new(Checks::new(shared.instruments.rejections.of("checks"))),
    };
    let (reporter, health) = tonic_health::server::health_reporter();
    let stopping = shutdown.clone();
    for service in SERVED {
        reporter.set_service_status(service, ServingStatus::Serving).await;
    }
    // Whoever watches it sends nobody here any more.
    calls.spawn(async move {
        stopping.cancelled().await;
        for service in SERVED {
            reporter.set_service_status(service, ServingStatus::NotServing).await;
        }
    });
    let described = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Older tools ask for the older one.
    let (reflection, reflection_alpha) = (described().build_v1()?, described().build_v1alpha()?);
    let routes = Routes::new(IngestServiceServer::new(ingest).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(CatalogueServiceServer::new(catalogue).max_decoding_message_size(MAX_REQUEST))
        .add_service(TapeServiceServer::new(tapes).max_decoding_message_size(MAX_REQUEST))
        .add_service(OperationServiceServer::new(operations).max_decoding_message_size(MAX_REQUEST))
        .add_service(health.max_decoding_message_size(MAX_CHECK))
        .add_service(reflection.max_decoding_message_size(MAX_REQUEST))
        .add_service(reflection_alpha.max_decoding_message_size(MAX_REQUEST));
    Ok(tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        // Room for seconds of PCM on the way: the default of 64 KiB stalls on a real network.
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .max_concurrent_streams(MAX_CALLS)
        .layer(gate)
        .add_routes(reply::calls(routes)))
}
