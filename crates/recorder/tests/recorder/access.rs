//! Who may call what: each row of the table of endpoints, what lists show, and what becomes of rights that end.

use crate::common::{Running, config, next, noon, pcm, start};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::uri::PathAndQuery;
use livetape_access::{
    Access, Claims, ENDPOINTS, Endpoint, Grants, JwtAlgorithm, Needs, Protocol, Right, Secret, TokenHash,
    hash_password, issue, mint_token, wall_clock,
};
use livetape_audio::Frame;
use livetape_proto::v1::{self, ingest_request, ingest_response};
use livetape_proto::{DESCRIPTORS, RecorderAddress, RecorderChannel};
use livetape_testkit::grpc_source::{opening, stereo};
use prost::Message;
use std::fs;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

/// A recorder with a recording of stream `mine` and one of `theirs`, and a token for all on `mine`.
struct Guarded {
    recorder: Running,
    mine: String,
    theirs: String,
    token: Secret,
    other: Secret,
    dir: TempDir,
}

fn entry(name: &str, token: &Secret, grants: &str) -> String {
    format!("[[token]]\nname = \"{name}\"\nsha256 = \"{}\"\ngrants = [\"{grants}\"]\n", TokenHash::of(token))
}

impl Guarded {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let recorder = start(config(&data)).await;
        let (mine, theirs) = (recorder.record("mine", 4_800).await, recorder.record("theirs", 4_800).await);
        recorder.stop().await;
        let (token, other) = (mint_token().unwrap(), mint_token().unwrap());
        let all = entry("me", &token, "publish,listen,export,manage:mine");
        let file = all + &entry("they", &other, "publish,listen,export,manage:theirs");
        fs::write(dir.path().join("access.toml"), file).unwrap();
        let access = Access::load(&dir.path().join("access.toml"), Grants::default()).unwrap();
        let mut config = config(&data);
        config.access = Some(access);
        // There are more rows than one may guess.
        config.limits.clients.failed_proofs = 10_000;
        Self { recorder: start(config).await, mine, theirs, token, other, dir }
    }

    fn rewrite(&self, text: &str) {
        fs::write(self.dir.path().join("new"), text).unwrap();
        fs::rename(self.dir.path().join("new"), self.dir.path().join("access.toml")).unwrap();
    }

    fn channel(&self, token: Option<&Secret>) -> RecorderChannel {
        let address = RecorderAddress::new(format!("http://{}", self.recorder.addr));
        let address = token.map_or(address.clone(), |token| address.with_token(token.reveal()).unwrap());
        address.over(address.endpoint().unwrap().connect_lazy())
    }

    /// Calls the method of a row about `stream`, whose recording is `id`, and says how that was answered.
    async fn call(&self, row: &Endpoint, token: Option<&Secret>, stream: &str, id: &str) -> Code {
        self.call_as(row, Shows(token.map(|token| format!("Bearer {}", token.reveal()))), stream, id).await
    }

    /// The same for who shows something else.
    async fn call_as(&self, row: &Endpoint, shows: Shows, stream: &str, id: &str) -> Code {
        let mut grpc = Grpc::new(InterceptedService::new(self.recorder.channel.clone(), shows));
        grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static(row.path);
        let is_of_stream = OF_STREAM.iter().any(|name| row.path.ends_with(name));
        let text = match row.needs {
            Needs::On(_) if is_of_stream => stream,
            Needs::On(_) => id,
            _ => "",
        };
        let answer: Result<(), Status> = if row.path.ends_with("/Ingest") {
            let first = v1::IngestRequest { message: Some(ingest_request::Message::Open(opening(stream, stereo()))) };
            let codec = ProstCodec::<v1::IngestRequest, v1::IngestResponse>::default();
            let answer = grpc.streaming(Request::new(tokio_stream::iter([first])), path, codec).await;
            match answer {
                Ok(answer) => next(&mut answer.into_inner()).await.map(|_| ()),
                Err(status) => Err(status),
            }
        } else {
            let request = v1::GetRecordingRequest { recording_id: text.into() };
            let codec = ProstCodec::<v1::GetRecordingRequest, v1::DeleteRecordingResponse>::default();
            match grpc.server_streaming(Request::new(request), path, codec).await {
                // Says nothing while nothing is traced.
                Ok(_) if row.path.ends_with("/WatchTraces") => Ok(()),
                Ok(answer) => next(&mut answer.into_inner()).await.map(|_| ()),
                Err(status) => Err(status),
            }
        };
        answer.err().map_or(Code::Ok, |status| status.code())
    }
}

/// What is shown as `authorization`.
#[derive(Clone)]
struct Shows(Option<String>);

impl Interceptor for Shows {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        self.0.iter().for_each(|text| _ = request.metadata_mut().insert("authorization", text.parse().unwrap()));
        Ok(request)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_single_right_on_every_call_in_every_way() {
    const SHARED: &str = "a shared secret of thirty-two bytes or more";
    let house = Guarded::new().await;
    fs::write(house.dir.path().join("jwt.key"), SHARED).unwrap();
    let (mut file, mut proofs) = (String::new(), Vec::new());
    let exp = wall_clock().unix_millis() / 1_000 + 3_600;
    for right in Right::ALL {
        let (token, grants) = (mint_token().unwrap(), format!("{right}:mine"));
        file += &entry(right.word(), &token, &grants);
        proofs.push((right, "token", format!("Bearer {}", token.reveal())));
        // As the password of any user.
        proofs.push((
            right,
            "token as password",
            format!("Basic {}", STANDARD.encode(format!("x:{}", token.reveal()))),
        ));
        let hash = hash_password(&Secret::new(format!("password of {right}"))).unwrap();
        file += &format!("[[user]]\nname = \"{right}\"\npassword = \"{hash}\"\ngrants = [\"{grants}\"]\n");
        let basic = STANDARD.encode(format!("{right}:password of {right}"));
        proofs.push((right, "password", format!("Basic {basic}")));
        let livetape = vec![grants.parse().unwrap()].try_into().unwrap();
        let claims = Claims { exp: Some(exp.into()), livetape, ..Claims::default() };
        let jwt = issue(JwtAlgorithm::HS256, &Secret::new(SHARED), None, &claims).unwrap();
        proofs.push((right, "JWT", format!("Bearer {}", jwt.reveal())));
    }
    house.rewrite(&format!("{file}[jwt]\nkey = [{{ algorithm = \"HS256\", file = \"jwt.key\" }}]\n"));
    let list = rows().find(|row| row.path.ends_with("/ListStreams")).unwrap();
    while house.call_as(list, Shows(Some(proofs[4].2.clone())), "mine", &house.mine).await != Code::Ok {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for row in rows() {
        let (Needs::On(needs) | Needs::Any(needs)) = row.needs else { panic!("{row:?} needs nothing") };
        for (right, way, shown) in &proofs {
            let code = house.call_as(row, Shows(Some(shown.clone())), "mine", &house.mine).await;
            let is_let_in = !matches!(code, Code::Unauthenticated | Code::PermissionDenied);
            assert_eq!(is_let_in, needs == *right, "{row:?} with {right} by {way}: {code:?}");
        }
    }
    // What needs nothing is answered whatever is shown, and with nothing.
    for row in ENDPOINTS.iter().filter(|row| row.protocol == Protocol::Grpc && row.needs == Needs::Nothing) {
        for shown in [None, Some("Bearer nonsense".to_owned())] {
            let code = house.call_as(row, Shows(shown), "mine", "").await;
            assert!(!matches!(code, Code::Unauthenticated | Code::PermissionDenied), "{row:?}: {code:?}");
        }
    }
    house.recorder.stop().await;
}

/// The methods whose first field is the name of a stream; that of the others is an id or a cursor.
const OF_STREAM: [&str; 5] = ["BeginRecording", "DeleteStream", "SetTitle", "GetProgram", "SkipTitle"];

/// Every method of the services of `livetape.v1`.
fn methods() -> Vec<String> {
    let set = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let services = set.file.iter().flat_map(|file| file.service.iter().map(move |service| (file.package(), service)));
    let of = |(package, service): (&str, &prost_types::ServiceDescriptorProto)| {
        let path =
            |method: &prost_types::MethodDescriptorProto| format!("/{package}.{}/{}", service.name(), method.name());
        service.method.iter().map(path).collect::<Vec<_>>()
    };
    services.flat_map(of).collect()
}

fn rows() -> impl Iterator<Item = &'static Endpoint> {
    ENDPOINTS.iter().filter(|row| row.protocol == Protocol::Grpc && row.path.starts_with("/livetape.v1."))
}

#[test]
fn every_method_has_a_row_and_every_row_a_method() {
    let methods = methods();
    assert!(methods.len() > 10);
    for method in &methods {
        assert!(Endpoint::grpc(method).is_some(), "{method} has no row in livetape_access::ENDPOINTS");
    }
    for row in rows() {
        assert!(methods.iter().any(|method| method == row.path), "there is no method {}", row.path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_with_and_without_the_right() {
    let house = Guarded::new().await;
    let unknown = mint_token().unwrap();
    for row in rows() {
        let (stream, id) = ("mine", &house.mine);
        assert_eq!(house.call(row, None, stream, id).await, Code::Unauthenticated, "{row:?} with nothing");
        assert_eq!(
            house.call(row, Some(&unknown), stream, id).await,
            Code::Unauthenticated,
            "{row:?} with a wrong token"
        );
        if let Needs::On(_) = row.needs {
            let elsewhere = house.call(row, Some(&house.other), stream, id).await;
            // Who names the stream learns nothing by being refused; who names a recording is told nothing of it.
            let named = row.path.ends_with("/Ingest") || OF_STREAM.iter().any(|name| row.path.ends_with(name));
            let refused = if named { Code::PermissionDenied } else { Code::NotFound };
            assert_eq!(elsewhere, refused, "{row:?} with a right on another stream");
        }
    }
    // Changes last, and the end of the stream at the very end.
    let (changes, reads): (Vec<&Endpoint>, Vec<&Endpoint>) = rows().partition(|row| row.path.contains("Operation"));
    for row in reads.into_iter().chain(changes) {
        let code = house.call(row, Some(&house.token), "mine", &house.mine).await;
        assert!(!matches!(code, Code::Unauthenticated | Code::PermissionDenied), "{row:?}: {code:?}");
    }
    let no_row = Endpoint { path: "/livetape.v1.CatalogueService/NoSuchCall", ..*rows().next().unwrap() };
    assert_eq!(house.call(&no_row, Some(&house.token), "mine", &house.mine).await, Code::Unimplemented);
    house.recorder.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_what_one_may_hear() {
    let house = Guarded::new().await;
    let channel = || house.channel(Some(&house.token));
    let mut catalogue = v1::catalogue_service_client::CatalogueServiceClient::new(channel());
    let streams = catalogue.list_streams(v1::ListStreamsRequest { limit: 1, ..Default::default() }).await.unwrap();
    let names: Vec<_> = streams.into_inner().streams.into_iter().map(|stream| stream.name).collect();
    assert_eq!(names, ["mine"]);
    let recordings = catalogue.list_recordings(v1::ListRecordingsRequest::default()).await.unwrap().into_inner();
    assert_eq!(recordings.recordings.iter().map(|r| &r.id).collect::<Vec<_>>(), [&house.mine]);
    let mut changes = catalogue.watch_catalogue(v1::WatchCatalogueRequest {}).await.unwrap().into_inner();
    let mut seen = Vec::new();
    loop {
        match next(&mut changes).await.unwrap().unwrap().change.unwrap() {
            v1::watch_catalogue_response::Change::Recording(recording) => seen.push(recording.id),
            v1::watch_catalogue_response::Change::Complete(_) => break,
            _ => {}
        }
    }
    assert_eq!(seen.join(" "), house.mine);
    assert_eq!(recordings.next, None, "that there are others is not told");
    let one = v1::ListRecordingsRequest { limit: 1, ..Default::default() };
    assert_eq!(catalogue.list_recordings(one).await.unwrap().into_inner().next, None);
    // One that is theirs looks like one that there is not.
    let asked = async |id: &str| {
        let request = v1::GetRecordingRequest { recording_id: id.into() };
        let refused = catalogue.clone().get_recording(request).await.unwrap_err();
        (refused.code(), refused.message().replace(id, "ID"))
    };
    let nowhere = house.theirs.replace(&house.theirs[30..], &"f".repeat(6));
    assert_eq!(asked(&house.theirs).await, asked(&nowhere).await);
    assert_eq!(asked(&house.theirs).await.0, Code::NotFound);
    drop(changes);
    house.recorder.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_whose_right_ends_is_sent_away_and_what_it_sent_stays() {
    let house = Guarded::new().await;
    let mut ingest = v1::ingest_service_client::IngestServiceClient::new(house.channel(Some(&house.token)));
    let (requests, outgoing) = mpsc::channel(8);
    let say = |message| v1::IngestRequest { message: Some(message) };
    requests.send(say(ingest_request::Message::Open(opening("mine", stereo())))).await.unwrap();
    let mut answers = ingest.ingest(ReceiverStream::new(outgoing)).await.unwrap().into_inner();
    let Some(ingest_response::Message::Opened(opened)) = next(&mut answers).await.unwrap().unwrap().message else {
        panic!("not opened");
    };
    let append = v1::Append {
        epoch: opened.epoch,
        first_frame: opened.next_frame,
        captured_at_unix_ns: noon().unix_nanos(),
        pcm: pcm(0, 960).into(),
        ..Default::default()
    };
    requests.send(say(ingest_request::Message::Append(append))).await.unwrap();
    let acknowledged = next(&mut answers).await.unwrap().unwrap().message.unwrap();
    let ingest_response::Message::Acknowledged(v1::Acknowledged { durable_frame }) = acknowledged else {
        panic!("{acknowledged:?}");
    };
    assert_eq!(durable_frame, opened.next_frame + 960);
    house.rewrite(&entry("they", &house.other, "listen:*"));
    let ended = tokio::time::timeout(Duration::from_secs(30), next(&mut answers)).await.unwrap().unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
    assert!(ended.message().contains("revoked"), "{ended}");
    // Who may listen hears it.
    let mut tapes = v1::tape_service_client::TapeServiceClient::new(house.channel(Some(&house.other)));
    let request = v1::ReadFramesRequest { recording_id: opened.recording_id, ..Default::default() };
    let mut frames = tapes.read_frames(request).await.unwrap().into_inner();
    assert_eq!(next(&mut frames).await.unwrap().unwrap().pcm, pcm(0, 960));
    assert_eq!(Frame::new(durable_frame).get() - opened.next_frame, 960);
    house.recorder.stop().await;
}
