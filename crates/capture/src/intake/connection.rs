//! One connection: from its first byte to its last.

use super::Context;
use super::access::Guesses;
use super::body::{Body, Framing};
use super::head::{self, Head, HeadError, Kind};
use super::kind::Content;
use super::limits::told;
use super::ports::{Occupied, Outcome, Running, Seat, Sender};
use super::reply::Reply;
use super::request::{METADATA, MOUNT, Wish, is_form, take_form};
use crate::sources::decoding::{Decoding, Material, Said};
use crate::sources::feed::{Feed, FeedReader, Feeding, feed};
use crate::sources::pushed::Arrival;
use crate::station::Station;
use bytes::{Bytes, BytesMut};
use livetape_access::{Actor, Ended, Permit, Way};
use livetape_audio::{Container, DataSize, StreamName};
use livetape_codec::decode::Input;
use livetape_service::Reached;
use livetape_service::limits::{Knock, Places};
use livetape_service::tls;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long the end of a source may take until all of it is durable.
const SEAL: Duration = Duration::from_secs(30);

/// One connection.
pub(crate) struct Connection {
    context: Arc<Context>,
    peer: SocketAddr,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// What is known of somebody who may send.
struct Admitted {
    stream: StreamName,
    content: Content,
    framing: Framing,
    sender: Sender,
    permit: Option<Permit>,
    /// Held for as long as the source sends.
    places: Places,
}

/// A request, and what came behind its head.
struct Heard {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
    head: Result<Head, HeadError>,
}

impl Connection {
    pub(crate) const fn new(context: Arc<Context>, peer: SocketAddr) -> Self {
        Self { context, peer }
    }

    pub(crate) async fn serve(self, stream: TcpStream, knock: Knock) {
        let heard = tokio::select! {
            heard = self.hear(stream) => heard,
            () = knock.sent_away() => None,
        };
        drop(knock);
        let Some(Heard { mut stream, buffer, head }) = heard else { return };
        // Who says nothing gets no answer, either.
        let head = match head {
            Ok(head) => head,
            Err(HeadError::Io(_)) => return,
            Err(error) => return self.unheard(&error).send(&mut stream).await,
        };
        match Arc::clone(&self.context.room).try_acquire_owned() {
            Ok(_place) => self.answer(stream, buffer, head).await,
            Err(_) => {
                self.context.limited.full.inc();
                let text = "there are as many connections of sources as there may be (LIVETAPE_LIMIT_SOURCE_CONNECTIONS): \
                            come back later";
                Reply::new(503, text).send(&mut stream).await;
            }
        }
    }

    /// The head of the request, if anything was said at all.
    async fn hear(&self, stream: TcpStream) -> Option<Heard> {
        let limit = self.context.config.limits.head;
        let Ok(opened) = timeout(limit, self.opened(stream)).await else {
            self.context.limited.slow.inc();
            return None;
        };
        let (mut stream, mut buffer) = (opened?, BytesMut::new());
        let head = head::read(&mut stream, &mut buffer, Kind::Request, limit).await;
        Some(Heard { stream, buffer, head })
    }

    fn unheard(&self, error: &HeadError) -> Reply {
        let status = match error {
            HeadError::Slow(_) => {
                self.context.limited.slow.inc();
                408
            }
            HeadError::Long => {
                self.context.limited.long.inc();
                431
            }
            _ => 400,
        };
        Reply::new(status, error)
    }

    /// Who asks: whoever connected, or for whom a proxy did.
    fn client(&self, head: &Head) -> IpAddr {
        let direct = Reached::directly(self.peer.ip(), false, None);
        self.context.config.proxies.reached(direct, &head.of_proxies()).client
    }

    /// Through TLS, if there is TLS. Only from this machine may be done without.
    async fn opened(&self, stream: TcpStream) -> Option<Box<dyn Stream>> {
        // Not worth refusing a source for.
        drop(stream.set_nodelay(true));
        let Some(tls) = &self.context.tls else { return Some(Box::new(stream)) };
        match (tls::begins(&stream).await?, self.peer.ip().to_canonical().is_loopback()) {
            (true, _) => {
                let accepted = tls.accept(stream).await;
                let stream = accepted.inspect_err(|error| tracing::debug!(%error, "this is no TLS")).ok()?;
                Some(Box::new(stream))
            }
            (false, true) => Some(Box::new(stream)),
            (false, false) => None,
        }
    }

    async fn answer(&self, mut stream: Box<dyn Stream>, buffer: BytesMut, mut head: Head) {
        let client = self.client(&head);
        let reply = match self.wish(&mut head, &mut stream, &buffer, client).await {
            Ok(Some(admitted)) => return self.take(stream, buffer, &head, admitted, client).await,
            Ok(None) => Reply::new(204, ""),
            Err(reply) => reply,
        };
        if reply.status >= 400
            && let Some(left_out) = self.context.refused.pass()
        {
            let (status, target) = (reply.status, shown(&head.target));
            tracing::info!(%client, method = method(&head), %target, status, left_out, "refused");
        }
        reply.send(&mut stream).await;
    }

    /// What is to be done; what is done already is said as an error.
    async fn wish(
        &self,
        head: &mut Head,
        stream: &mut Box<dyn Stream>,
        buffer: &BytesMut,
        client: IpAddr,
    ) -> Result<Option<Admitted>, Reply> {
        let context = &self.context;
        let limiter = &context.limited.clients;
        limiter.request(client).map_err(|exceeded| Reply::again(429, told(&exceeded), exceeded.again))?;
        let guesses = Guesses { limiter, client };
        context.guard.no_page(head)?;
        // A form is read for who may set titles: nobody else takes the time, and the place, that it needs.
        let posting = match is_form(head) {
            true => Some(context.guard.admit(head, METADATA, &guesses).await?),
            false => None,
        };
        let form = take_form(head, stream, buffer.clone(), context.config.limits.head).await;
        form.inspect_err(|reply| context.limited.form(reply.status))?;
        let head = &*head;
        match Wish::of(head)? {
            Wish::Options => Ok(None),
            Wish::Title { stream, title } => {
                let caller = match posting {
                    Some(caller) => caller,
                    None => context.guard.admit(head, METADATA, &guesses).await?,
                };
                context.guard.may(&caller, &stream)?;
                if !context.ports.title(&stream, title) {
                    return Err(Reply::new(404, format!("nobody sends into the stream {stream}")));
                }
                let text = "<?xml version=\"1.0\"?>\n<iceresponse><message>the title is set</message>\
                            <return>1</return></iceresponse>\n";
                Err(Reply::document("text/xml", text.into()))
            }
            Wish::Push { stream, extension } => {
                let caller = context.guard.admit(head, MOUNT, &guesses).await?;
                context.guard.may(&caller, &stream)?;
                self.open_for_all(&stream)?;
                let content = Content::of(head.text("content-type"), extension);
                let content = content.map_err(|error| Reply::new(415, error))?;
                let framing = Framing::of(head).map_err(|error| Reply::new(400, error))?;
                // libshout asks so whether it may, before it sends anything.
                if matches!(framing, Framing::Length(0)) {
                    context.guard.publishing(&caller, &stream, client)?;
                    return Err(Reply::new(200, "this may be sent here"));
                }
                let who = caller.identity();
                let places = limiter.lasting(client, who.account());
                let places = places.map_err(|exceeded| Reply::again(429, told(&exceeded), exceeded.again))?;
                let permit = context.guard.publishing(&caller, &stream, client)?;
                let name = if who.way() == Way::Anonymous { String::new() } else { who.name().to_owned() };
                let actor = Actor::new(who, Some(client));
                let sender = Sender { name, station: Station::of(head), actor: Some(actor) };
                Ok(Some(Admitted { stream, content, framing, sender, permit, places }))
            }
        }
    }

    fn open_for_all(&self, stream: &StreamName) -> Result<(), Reply> {
        if !self.context.config.rules.allows(stream) {
            let text = format!(
                "sources may not open the stream {stream} here: allow_streams (LIVETAPE_ALLOW_STREAMS) says which"
            );
            return Err(Reply::new(403, text));
        }
        if self.context.taken.contains(stream) {
            return Err(Reply::new(409, format!("the stream {stream} has a source of its own here")));
        }
        Ok(())
    }

    /// Takes audio in, for as long as it comes.
    async fn take(
        &self,
        mut stream: Box<dyn Stream>,
        buffer: BytesMut,
        head: &Head,
        admitted: Admitted,
        client: IpAddr,
    ) {
        let Admitted { stream: name, content, framing, sender, permit, places: _places } = admitted;
        let (feed, feeding, reader) = feed();
        let seat = match self.context.ports.take(&name, &feeding) {
            Ok(seat) => seat,
            Err(why) => {
                if matches!(why, Occupied::Full(_)) {
                    self.context.limited.sources.inc();
                }
                return occupied(&why).send(&mut stream).await;
            }
        };
        if let Err(error) = greet(&mut stream, head, framing).await {
            tracing::debug!(%error, "a source was gone before it began");
            return;
        }
        tracing::info!(stream = %name, %client, method = method(head), by = sender.name, "a source is there");
        let body = Body::new(&mut stream, buffer, framing, self.context.config.limits.stall);
        let title = format!("{} to {name}", self.peer);
        let reply = tokio::select! {
            outcome = receive(body, feed, &feeding, reader, &seat, content, sender, title) => match outcome {
                Ok(()) => Reply::new(200, "all of it was taken"),
                Err(reply) => reply,
            },
            why = ended(permit) => Reply::new(401, why),
            () = seat.leave.cancelled() => Reply::new(409, "nothing was heard of this source, and another one took its place"),
            () = self.context.shutdown.cancelled() => Reply::new(503, "stopping"),
        };
        let status = reply.status;
        if status == 408 {
            self.context.limited.stall.inc();
        }
        tracing::info!(stream = %name, %client, status, "a source is gone");
        // Somebody else may come now, whatever becomes of the answer.
        drop(seat);
        reply.send(&mut stream).await;
    }
}

/// What tells the source to begin. Who sends as HTTP wants it waits for the answer until the end.
async fn greet(stream: &mut Box<dyn Stream>, head: &Head, framing: Framing) -> io::Result<()> {
    let expects = head.text("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
    let word: &[u8] = match (head.method.as_str(), expects, framing) {
        (_, true, _) => b"HTTP/1.1 100 Continue\r\n\r\n",
        ("SOURCE", ..) => b"HTTP/1.0 200 OK\r\n\r\n",
        (_, false, Framing::Close) => b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n",
        _ => return Ok(()),
    };
    stream.write_all(word).await?;
    stream.flush().await
}

/// Moves a body to its decoder and into the stream's session, until both have had it all.
#[allow(clippy::too_many_arguments, reason = "the two ends of one pipe")]
async fn receive(
    mut body: Body<&mut Box<dyn Stream>>,
    feed: Feed,
    feeding: &Arc<Feeding>,
    reader: FeedReader,
    seat: &Seat,
    content: Content,
    sender: Sender,
    name: String,
) -> Result<(), Reply> {
    let (extension, begin) = match content {
        Content::Encoded(extension) => (extension, Bytes::new()),
        // What has no head gets one.
        Content::Pcm(spec) => (Some("wav"), Container::Wav.header(spec, DataSize::Growing).into()),
    };
    let material =
        Material { name, extension: extension.map(Into::into), untitled: None, feeding: Some(Arc::clone(feeding)) };
    let decoding = Decoding::start(material, seat.target(), move || Ok(Input::stream(reader)));
    let decoding = decoding.map_err(|error| Reply::new(503, error))?;
    let taken = CancellationToken::new();
    let mut pump = pin!(pump(&mut body, feed, feeding, begin));
    let mut attach = pin!(attach(decoding, feeding, seat, sender, taken.clone()));
    let mut pumped = None;
    let running = tokio::select! {
        running = &mut attach => running?,
        end = &mut pump => {
            pumped = Some(end);
            attach.await?
        }
    };
    let end = async {
        match pumped {
            Some(end) => end,
            None => pump.await,
        }
    };
    tokio::select! {
        end = end => {
            if let End::Broken(error) = end {
                tracing::info!(stream = %seat.name(), "the connection of a source broke off: {error}");
                return Err(Reply::new(if error.kind() == io::ErrorKind::TimedOut { 408 } else { 400 }, error));
            }
            if !feeding.is_complete() {
                return match end {
                    End::Decoder => Err(Reply::new(415, "what was sent cannot be decoded any further")),
                    _ => Ok(()),
                };
            }
        }
        outcome = running.ended() => return said(outcome),
    }
    // The sender has said that this was all: so the recording ends with it, and that is worth waiting for.
    taken.cancelled().await;
    if !running.may_end {
        return Ok(());
    }
    match timeout(SEAL, running.ended()).await {
        Ok(outcome) => said(outcome),
        Err(_) => Err(Reply::new(503, "the recorder has not taken all of it yet")),
    }
}

fn said(outcome: Outcome) -> Result<(), Reply> {
    outcome.map_err(|(status, why)| Reply::new(status, why))
}

/// How a body has ended.
enum End {
    /// Where it says.
    Whole,
    /// The decoder wants no more.
    Decoder,
    Broken(io::Error),
}

async fn pump(body: &mut Body<&mut Box<dyn Stream>>, feed: Feed, feeding: &Feeding, begin: Bytes) -> End {
    let is_close = body.ends_with_connection();
    let mut block = begin;
    loop {
        if !feed.send(block).await {
            return End::Decoder;
        }
        block = match body.next().await {
            Ok(Some(block)) => block,
            Ok(None) => {
                if !is_close {
                    feeding.complete();
                }
                return End::Whole;
            }
            Err(error) => return End::Broken(error),
        };
    }
}

/// Waits until it is known what comes, and hands it to the stream's session.
async fn attach(
    mut decoding: Decoding,
    feeding: &Arc<Feeding>,
    seat: &Seat,
    sender: Sender,
    taken: CancellationToken,
) -> Result<Running, Reply> {
    match decoding.next().await {
        Some(Said::Begins { spec, title }) => {
            let arrival = Arrival { decoding, feeding: Arc::clone(feeding), title, _taken: taken.drop_guard() };
            seat.attach(spec, arrival, sender).map_err(|why| occupied(&why))
        }
        Some(Said::Ends(outcome)) => {
            let why = outcome.error.unwrap_or_else(|| "there is no audio in it".into());
            Err(Reply::new(415, format!("what was sent cannot be decoded: {why}")))
        }
        _ => Err(Reply::new(500, "the decoder failed, which is a bug")),
    }
}

fn occupied(why: &Occupied) -> Reply {
    let status = match why {
        Occupied::Stream(_) => 409,
        Occupied::Full(_) => 503,
    };
    Reply::new(status, why)
}

async fn ended(permit: Option<Permit>) -> Ended {
    match permit {
        Some(permit) => permit.ended().await,
        None => std::future::pending().await,
    }
}

/// The method, if it is one that is known here: what else a stranger wrote may be long.
fn method(head: &Head) -> &str {
    let known = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "SOURCE", "DELETE"];
    known.into_iter().find(|known| *known == head.method).unwrap_or("another")
}

/// The beginning of what a stranger wrote, without what might be a secret.
fn shown(target: &str) -> String {
    let path = target.split('?').next().unwrap_or_default();
    path.chars().filter(|c| !c.is_control()).take(80).collect()
}
