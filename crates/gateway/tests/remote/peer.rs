//! A recorder that says what the test wants, byte by byte: one of a version that does not exist, or one that is broken.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost::Message;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;

/// What comes back from a call. Messages are encoded.
pub enum Says {
    /// These, and that all went well.
    All(Vec<Vec<u8>>),
    /// These, and nothing more, as if more were to come.
    Open(Vec<Vec<u8>>),
    /// Not a message, but this code.
    Fails(tonic::Code),
}

/// Answers one method, by the request's first message.
pub type Answer = Box<dyn Fn(&[u8]) -> Says + Send + Sync>;

/// Serves these methods; others are not implemented.
pub async fn serve(methods: impl IntoIterator<Item = (&'static str, Answer)>) -> SocketAddr {
    let methods: Arc<HashMap<_, _>> = Arc::new(methods.into_iter().collect());
    let router = axum::Router::new().fallback(move |request: Request| {
        let methods = methods.clone();
        async move {
            let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
            let message = request.into_body().collect().await.unwrap().to_bytes();
            let answer = methods.get(method.as_str());
            reply(answer.map_or(Says::Fails(tonic::Code::Unimplemented), |answer| answer(&message[5..])))
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder().add_routes(Routes::from(router));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    addr
}

fn status(code: tonic::Code) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from(code as i32))])
}

fn reply(says: Says) -> Response {
    let (messages, end) = match says {
        Says::All(messages) => (messages, stream::iter([Frame::trailers(status(tonic::Code::Ok))]).left_stream()),
        Says::Open(messages) => (messages, stream::pending().right_stream()),
        Says::Fails(code) => {
            let mut reply = Response::new(Body::empty());
            *reply.headers_mut() = status(code);
            reply.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
            return reply;
        }
    };
    let frames = messages.into_iter().map(|message| {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        Frame::data(Bytes::from([&[0][..], &length, &message].concat()))
    });
    let mut reply = Response::new(Body::new(StreamBody::new(stream::iter(frames).chain(end).map(Ok::<_, Infallible>))));
    reply.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    reply
}

/// Fields that only a later version knows: a number, and some text.
pub const LATER: &[u8] = b"\xC0\x3E\x05\xCA\x3E\x03new";

/// A message, and what only a later version knows of it.
pub fn later(message: impl Message) -> Vec<u8> {
    [&message.encode_to_vec(), LATER].concat()
}

/// A message with this message in one of its fields.
pub fn field(number: u8, message: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    prost::encoding::encode_varint(message.len() as u64, &mut out);
    out.extend_from_slice(message);
    out
}
