//! The one table: every address that is answered over HTTP or gRPC, or takes sources, and the right that it needs. What has no row is refused.

use crate::grant::Right;
use Needs::{Any, Nothing, On};
use Right::{Export, Listen, Manage, Publish};

/// What somebody needs to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it tells nothing about any stream.
    Nothing,
    /// The right on the stream that the request is about.
    On(Right),
    /// The right on any stream; the answer is about those streams only on which there is the right.
    Any(Right),
}

/// Over what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP: a method and a route.
    Http,
    /// gRPC: a path of service and method.
    Grpc,
    /// HTTP as source clients speak it, on the address for sources.
    Source,
}

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Over what.
    pub protocol: Protocol,
    /// The method of HTTP: `GET` stands for `HEAD`, too; empty for gRPC.
    pub method: &'static str,
    /// The route, with names in braces for what varies.
    pub path: &'static str,
    /// The right.
    pub needs: Needs,
}

const fn http(method: &'static str, path: &'static str, needs: Needs) -> Endpoint {
    Endpoint { protocol: Protocol::Http, method, path, needs }
}

const fn grpc(path: &'static str, needs: Needs) -> Endpoint {
    Endpoint { protocol: Protocol::Grpc, method: "", path, needs }
}

const fn source(method: &'static str, path: &'static str, needs: Needs) -> Endpoint {
    Endpoint { protocol: Protocol::Source, method, path, needs }
}

/// All of them.
pub static ENDPOINTS: &[Endpoint] = &[
    http("GET", "/", Nothing),
    http("GET", "/page.css", Nothing),
    http("GET", "/page/{file}", Nothing),
    http("GET", "/plain", Any(Listen)),
    http("GET", "/openapi", Nothing),
    http("GET", "/openapi.js", Nothing),
    http("GET", "/openapi.css", Nothing),
    http("GET", "/openapi.json", Nothing),
    http("GET", "/icon.svg", Nothing),
    http("GET", "/favicon.ico", Nothing),
    http("GET", "/healthz", Nothing),
    http("GET", "/readyz", Nothing),
    // Only where watching is allowed, which is no right on a stream: the gateway sees to it.
    http("GET", "/metrics", Nothing),
    http("GET", "/session", Nothing),
    http("POST", "/session", Nothing),
    http("DELETE", "/session", Nothing),
    http("GET", "/events", Any(Listen)),
    http("GET", "/listen.m3u", Any(Listen)),
    http("GET", "/listen.pls", Any(Listen)),
    http("GET", "/listen.xspf", Any(Listen)),
    http("GET", "/streams", Any(Listen)),
    http("GET", "/streams/{stream}", On(Listen)),
    http("DELETE", "/streams/{stream}", On(Manage)),
    http("POST", "/streams/{stream}/recordings", On(Manage)),
    http("GET", "/streams/{stream}/program", On(Listen)),
    http("POST", "/streams/{stream}/skip", On(Manage)),
    http("PUT", "/streams/{stream}/title", On(Manage)),
    http("GET", "/streams/{stream}/events", On(Listen)),
    http("GET", "/streams/{stream}/listen.m3u", On(Listen)),
    http("GET", "/streams/{stream}/listen.pls", On(Listen)),
    http("GET", "/streams/{stream}/listen.xspf", On(Listen)),
    http("GET", "/streams/{stream}/{file}", On(Listen)),
    http("GET", "/recordings", Any(Listen)),
    http("GET", "/recordings/{id}", On(Listen)),
    http("PATCH", "/recordings/{id}", On(Manage)),
    http("DELETE", "/recordings/{id}", On(Manage)),
    http("POST", "/recordings/{id}/seal", On(Manage)),
    http("PUT", "/recordings/{id}/lock", On(Manage)),
    http("DELETE", "/recordings/{id}/lock", On(Manage)),
    http("POST", "/recordings/{id}/marks", On(Manage)),
    http("GET", "/recordings/{id}/timeline", On(Listen)),
    http("GET", "/recordings/{id}/marks", On(Listen)),
    http("GET", "/recordings/{id}/marks.csv", On(Listen)),
    http("GET", "/recordings/{id}/marks.txt", On(Listen)),
    http("GET", "/recordings/{id}/clip.wav", On(Export)),
    http("GET", "/recordings/{id}/clip.mp3", On(Export)),
    http("GET", "/recordings/{id}/loudness", On(Listen)),
    http("GET", "/recordings/{id}/peaks", On(Listen)),
    http("GET", "/recordings/{id}/peaks.json", On(Listen)),
    http("GET", "/recordings/{id}/peaks.dat", On(Listen)),
    http("GET", "/recordings/{id}/{file}", On(Listen)),
    grpc("/livetape.v1.IngestService/Ingest", On(Publish)),
    grpc("/livetape.v1.CatalogueService/ListStreams", Any(Listen)),
    grpc("/livetape.v1.CatalogueService/ListRecordings", Any(Listen)),
    grpc("/livetape.v1.CatalogueService/GetRecording", On(Listen)),
    grpc("/livetape.v1.CatalogueService/ListTimeline", On(Listen)),
    grpc("/livetape.v1.CatalogueService/WatchCatalogue", Any(Listen)),
    grpc("/livetape.v1.TapeService/WatchTail", Any(Listen)),
    grpc("/livetape.v1.TapeService/ReadFrames", On(Listen)),
    grpc("/livetape.v1.TapeService/GetLoudness", On(Listen)),
    grpc("/livetape.v1.TapeService/GetPeaks", On(Listen)),
    grpc("/livetape.v1.TapeService/Export", On(Export)),
    grpc("/livetape.v1.TapeService/WatchTraces", Any(Listen)),
    grpc("/livetape.v1.OperationService/BeginRecording", On(Manage)),
    grpc("/livetape.v1.OperationService/SealRecording", On(Manage)),
    grpc("/livetape.v1.OperationService/UpdateRecording", On(Manage)),
    grpc("/livetape.v1.OperationService/DeleteRecording", On(Manage)),
    grpc("/livetape.v1.OperationService/LockRecording", On(Manage)),
    grpc("/livetape.v1.OperationService/UnlockRecording", On(Manage)),
    grpc("/livetape.v1.OperationService/AddMark", On(Manage)),
    grpc("/livetape.v1.OperationService/DeleteStream", On(Manage)),
    grpc("/livetape.v1.OperationService/SetTitle", On(Manage)),
    grpc("/livetape.v1.OperationService/GetProgram", On(Listen)),
    grpc("/livetape.v1.OperationService/SkipTitle", On(Manage)),
    grpc("/grpc.health.v1.Health/Check", Nothing),
    grpc("/grpc.health.v1.Health/Watch", Nothing),
    grpc("/grpc.health.v1.Health/List", Nothing),
    grpc("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Nothing),
    grpc("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Nothing),
    source("PUT", "/{mount}", On(Publish)),
    source("SOURCE", "/{mount}", On(Publish)),
    source("POST", "/{mount}", On(Publish)),
    source("GET", "/admin/metadata", On(Publish)),
    source("POST", "/admin/metadata", On(Publish)),
];

impl Endpoint {
    /// The row of a method and route of HTTP.
    pub fn http(method: &str, route: &str) -> Option<&'static Self> {
        let method = if method == "HEAD" { "GET" } else { method };
        ENDPOINTS.iter().find(|e| e.protocol == Protocol::Http && e.method == method && e.path == route)
    }

    /// The row of a method and route on the address for sources.
    pub fn source(method: &str, route: &str) -> Option<&'static Self> {
        ENDPOINTS.iter().find(|e| e.protocol == Protocol::Source && e.method == method && e.path == route)
    }

    /// The row of a path of gRPC.
    pub fn grpc(path: &str) -> Option<&'static Self> {
        ENDPOINTS.iter().find(|e| e.protocol == Protocol::Grpc && e.path == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_stands_there_once_and_is_found() {
        for row in ENDPOINTS {
            let found = match row.protocol {
                Protocol::Http => Endpoint::http(row.method, row.path),
                Protocol::Grpc => Endpoint::grpc(row.path),
                Protocol::Source => Endpoint::source(row.method, row.path),
            };
            assert!(found.is_some_and(|found| std::ptr::eq(found, row)), "{row:?}");
        }
        assert_eq!(Endpoint::http("HEAD", "/streams"), Endpoint::http("GET", "/streams"));
        assert!(Endpoint::http("POST", "/streams").is_none() && Endpoint::grpc("/streams").is_none());
    }
}
