//! What is said about each address: one entry for each row of the table of endpoints.

use super::answers::with_headers;
use super::schemas::{AN_ID, Schemas};
use crate::events::{Beat, Told};
use crate::levels::Level;
use crate::listing::{RecordingItem, RecordingsPage, StreamItem, StreamsPage, TimelinePage};
use crate::loudness::LoudnessItem;
use crate::marks::Marks;
use crate::operations::{Deleted, NewMark, PutMark, Update};
use crate::page;
use crate::peaks::Waveform;
use crate::problem::Said;
use crate::program::{Playing, Program};
use crate::query::{self, Parameter};
use crate::session::Known;
use schemars::JsonSchema;
use serde_json::{Value, json};

pub(super) const TAGS: [(&str, &str); 5] = [
    ("audio", "Streams as they are heard, and recordings with their byte ranges."),
    ("archive", "What there is: streams, recordings, timelines."),
    ("events", "What happens, as it happens."),
    ("changes", "What those do who keep recordings."),
    ("gateway", "The gateway itself: its pages, sessions, health."),
];

/// An address with a method, and what belongs to it alone.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    pub(super) query: &'static [Parameter],
    /// Name, what it says, examples.
    pub(super) request_headers: &'static [(&'static str, &'static str, &'static [&'static str])],
    pub(super) body: Option<Value>,
    /// Its own answers.
    pub(super) answers: Vec<(u16, Value)>,
    /// Refusals that not every address of its kind has.
    pub(super) also: &'static [u16],
    /// Whether a body may go on for ever.
    pub(super) endless: bool,
}

impl Operation {
    fn new(
        tag: &'static str,
        method: &'static str,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            id,
            tag,
            summary,
            description: "",
            query: &[],
            request_headers: &[],
            body: None,
            answers: Vec::new(),
            also: &[],
            endless: false,
        }
    }

    fn says(self, description: &'static str) -> Self {
        Self { description, ..self }
    }

    fn query(self, query: &'static [Parameter]) -> Self {
        Self { query, ..self }
    }

    /// JSON that it takes, in these examples.
    fn takes<T: JsonSchema>(mut self, schemas: &mut Schemas, examples: &Value) -> Self {
        let examples = examples.as_object().into_iter().flatten();
        let examples: Value = examples
            .map(|(name, value)| (name.clone(), json!({ "value": value })))
            .collect::<serde_json::Map<_, _>>()
            .into();
        self.body = Some(json!({
            "required": true,
            "description": "At most 64 KiB.",
            "content": { "application/json": { "schema": schemas.taken::<T>(), "examples": examples } },
        }));
        self
    }

    /// JSON that it sends.
    fn sends<T: JsonSchema>(self, schemas: &mut Schemas, status: u16, says: &str, example: &Value) -> Self {
        let content = json!({ "application/json": { "schema": schemas.sent::<T>(), "example": example } });
        self.answers_with(status, says, &["Cache-Control"], &content)
    }

    fn answers_with(mut self, status: u16, says: &str, headers: &[&str], content: &Value) -> Self {
        let mut answer = json!({ "description": says, "headers": with_headers(headers.iter().copied()) });
        if content.as_object().is_some_and(|content| !content.is_empty()) {
            answer["content"] = content.clone();
        }
        self.answers.push((status, answer));
        self
    }

    fn endless(self) -> Self {
        Self { endless: true, ..self }
    }
}

const RANGES: &[(&str, &str, &[&str])] = &[
    (
        "Range",
        "Bytes of this representation; what each form gets while a recording grows is told in docs/http.md.",
        &[
            "bytes=44-",
            "bytes=0-0",
            "bytes=1000-1999",
            "bytes=-500",
            "bytes=0-99,200-299",
            "bytes=0-9007199254740991",
            "bytes=999999999999-",
        ],
    ),
    ("If-Range", "The ETag for which the range is meant.", &["\"0193-0-open-wav\""]),
    ("If-None-Match", "Of a finished recording: the ETag that is there already.", &["*", "\"0193-0-open-wav\""]),
];

const AUDIO: &[&str] = &[
    "Cache-Control",
    "Content-Disposition",
    "X-Audio-Format",
    "X-Livetape-First-Frame",
    "X-Livetape-Recording",
    "X-Livetape-Rendition",
];

const ICY: &[&str] = &["Vary", "icy-name", "icy-genre", "icy-br", "icy-pub", "icy-url", "icy-metaint"];
const TITLES: &[(&str, &str, &[&str])] =
    &[("Icy-MetaData", "`1`: between the audio of MP3 there are titles, each `icy-metaint` bytes.", &["1", "0"])];

/// Bytes of any kind.
fn bytes(types: &[&str]) -> Value {
    types.iter().map(|kind| ((*kind).to_owned(), json!({}))).collect::<serde_json::Map<_, _>>().into()
}

fn text(kind: &str, example: &str) -> Value {
    json!({ kind: { "schema": { "type": "string" }, "example": example } })
}

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    // What all refusals and the addresses refer to.
    _ = schemas.sent::<Said>();
    let mut all: Vec<_> = page::FILES.iter().map(file).collect();
    all.extend(gateway(schemas));
    all.extend(archive(schemas));
    all.extend(waveforms(schemas));
    all.extend(audio());
    all.extend(playlists());
    all.extend(events(schemas));
    all.extend(changes(schemas));
    all
}

fn file(file: &page::File) -> Operation {
    let (id, summary) = match file.path {
        "/" => ("page", "The page with streams and recordings"),
        "/openapi" => ("describe", "The page that shows this description"),
        "/page.css" => ("pageStyle", "The style of the pages"),
        "/openapi.js" => ("describeScript", "The script of the page that shows this description"),
        "/openapi.css" => ("describeStyle", "The style of the page that shows this description"),
        "/icon.svg" => ("icon", "The icon"),
        _ => ("favicon", "The icon, where browsers look for it"),
    };
    let kind = file.content_type.split(';').next().unwrap_or_default();
    let content = json!({ kind: { "schema": { "type": "string" } } });
    Operation::new("gateway", "GET", file.path, id, summary).answers_with(
        200,
        "The file.",
        &["Cache-Control"],
        &content,
    )
}

fn gateway(schemas: &mut Schemas) -> Vec<Operation> {
    let op = |method, path, id, summary| Operation::new("gateway", method, path, id, summary);
    let who = json!({ "name": "ann", "way": "token", "rights": ["listen"], "grants": ["listen:studio-*"], "until": "2027-01-31T00:00:00Z" });
    vec![
        op("GET", page::MODULES_AT, "pageModule", "A module of the page's script")
            .answers_with(200, "The module.", &["Cache-Control"], &json!({ "text/javascript": { "schema": { "type": "string" } } })),
        op("GET", "/plain", "plainPage", "Streams and recordings for browsers without scripts")
            .query(query::LIST)
            .answers_with(200, "A page of them.", &["Cache-Control"], &json!({ "text/html": { "schema": { "type": "string" } } })),
        op("GET", "/openapi.json", "openapi", "This description")
            .answers_with(200, "OpenAPI 3.1.", &["Cache-Control"], &json!({ "application/json": { "schema": { "type": "object" }, "example": { "openapi": "3.1.0" } } })),
        op("GET", "/healthz", "health", "Whether the process answers at all")
            .answers_with(200, "It does.", &["Cache-Control"], &text("text/plain", "well\n")),
        op("GET", "/readyz", "readiness", "Whether the gateway serves, and what is missing if not")
            .answers_with(200, "It does.", &["Cache-Control"], &text("text/plain", "ready\nrecorder: yes\n"))
            .answers_with(503, "It does not yet.", &[], &json!({
                "text/plain": { "schema": { "type": "string" }, "example": "not ready: recorder\nrecorder: no\n" },
                "application/json": { "schema": schemas.sent::<Said>(), "example": { "error": "there are as many connections as the gateway may have", "hint": "try again in a while" } },
            })),
        Operation { also: &[403], ..op("GET", "/metrics", "metrics", "Figures for Prometheus") }
            .says("From this machine, or where anyone may watch.")
            .answers_with(200, "The figures.", &["Cache-Control"], &text("text/plain", "livetape_gateway_listeners 2\n")),
        Operation { also: &[500], ..op("GET", "/session", "who", "Who one is, whatever that allows") }
            .query(query::PLAIN)
            .sends::<Known>(schemas, 200, "Name, how it was proved, and rights. A cookie that counts no more is taken away.", &who),
        Operation { also: &[401, 500], ..op("POST", "/session", "login", "Keep a token in a cookie") }
            .says("Send the token as `Authorization: Bearer TOKEN`.")
            .query(query::PLAIN)
            .answers_with(200, "From now on the browser shows it by itself.", &["Cache-Control", "Set-Cookie"],
                &json!({ "application/json": { "schema": schemas.sent::<Known>(), "example": who } })),
        op("DELETE", "/session", "logout", "Forget the cookie")
            .query(query::PLAIN)
            .answers_with(204, "It is forgotten.", &["Cache-Control", "Set-Cookie"], &json!({})),
    ]
}

fn archive(schemas: &mut Schemas) -> Vec<Operation> {
    let op = |path, id, summary| Operation::new("archive", "GET", path, id, summary);
    vec![
        op("/streams", "listStreams", "Streams, by name")
            .query(query::STREAMS)
            .sends::<StreamsPage>(schemas, 200, "A page.", &json!({ "streams": [a_stream()], "next": null })),
        op("/streams/{stream}", "getStream", "One stream")
            .query(query::PLAIN)
            .sends::<StreamItem>(schemas, 200, "The stream.", &a_stream()),
        Operation {
            also: &[409, 500, 501, 502, 503],
            ..op("/streams/{stream}/program", "getProgram", "What a stream plays and what comes next")
        }
        .says("Of a source that has a list of it, as one of files has; 409 for others.")
        .query(query::PLAIN)
        .sends::<Program>(schemas, 200, "What its source says.", &a_program()),
        op("/recordings", "listRecordings", "Recordings, oldest first")
            .query(query::LIST)
            .sends::<RecordingsPage>(schemas, 200, "A page.", &json!({ "recordings": [a_recording()], "next": AN_ID })),
        op("/recordings/{id}", "getRecording", "One recording")
            .query(query::PLAIN)
            .sends::<RecordingItem>(schemas, 200, "The recording.", &a_whole_recording()),
        op("/recordings/{id}/timeline", "getTimeline", "What is said about a recording's frames")
            .says("Anchors (a frame with its time of day), gaps, sources, titles, marks and events, in the order of their coming.")
            .query(query::ENTRIES)
            .sends::<TimelinePage>(schemas, 200, "A page.", &json!({
                "recording": AN_ID,
                "spec": { "format": "s16", "rate": 48_000, "channels": 2 },
                "tail": { "frames": 4_800_000, "state": "open", "next": null },
                "entries": [
                    { "type": "anchor", "frame": 0, "time": "2026-11-20T14:30:00Z" },
                    { "type": "gap", "at": 480_000, "lost": 960, "from": "2026-11-20T14:30:10Z", "to": "2026-11-20T14:30:10.02Z", "reason": "xrun" },
                    { "type": "mark", "frame": 960_000, "text": "here it begins" },
                ],
                "next": null,
            })),
    ]
}

fn waveforms(schemas: &mut Schemas) -> Vec<Operation> {
    let op = |path, id, summary| Operation::new("archive", "GET", path, id, summary);
    let peaks = json!({
        "version": 2, "channels": 1, "sample_rate": 48_000, "samples_per_pixel": 256, "bits": 16, "length": 2,
        "data": [-100, 120, -90, 80], "rms": [60, 50],
        "recording": AN_ID, "first_frame": 0, "end_frame": 512, "frames": 4_800_000,
    });
    let as_json = schemas.sent::<Waveform>();
    let as_json = json!({ "application/json": { "schema": as_json, "example": peaks } });
    let mut either = as_json.clone();
    either["application/octet-stream"] = json!({});
    let says = "In at most `width` points, at a cost that does not depend on how long the part is.";
    let loudness = json!({
        "recording": AN_ID, "first_frame": 0, "end_frame": 4_320_000, "integrated": -23.1,
        "minutes": [
            { "first_frame": 0, "end_frame": 2_880_000, "integrated": -22.8 },
            { "first_frame": 2_880_000, "end_frame": 4_320_000, "integrated": null },
        ],
        "next_frame": null,
    });
    let heads = &[
        "Cache-Control",
        "Content-Disposition",
        "X-Livetape-First-Frame",
        "X-Livetape-End-Frame",
        "X-Livetape-Recording",
    ];
    let marks = json!({ "recording": AN_ID, "marks": [{ "frame": 72_000, "seconds": 1.5, "time": "2026-11-20T14:30:01.5Z", "text": "there" }] });
    vec![
        Operation { also: AHEAD, ..op("/recordings/{id}/loudness", "getLoudness", "How loud a part of a recording is") }
            .says("Integrated loudness after EBU R 128, of the whole part and of each of its minutes, at a cost that does not depend on how long the part is.")
            .query(query::LOUDNESS)
            .sends::<LoudnessItem>(schemas, 200, "As far as it is measured.", &loudness),
        Operation {
            request_headers: ACCEPT,
            also: AHEAD,
            ..op("/recordings/{id}/peaks", "getPeaks", "Waveform data of a part of a recording")
        }
        .says(says)
        .query(query::PEAKS)
        .answers_with(
            200,
            "As audiowaveform's JSON with more members, or as its .dat.",
            &["Cache-Control", "Vary"],
            &either,
        ),
        Operation {
            also: AHEAD,
            ..op("/recordings/{id}/peaks.json", "getPeaksAsJson", "Waveform data as audiowaveform's JSON")
        }
        .says(says)
        .query(query::PEAKS)
        .answers_with(200, "The points.", &["Cache-Control"], &as_json),
        Operation {
            also: AHEAD,
            ..op("/recordings/{id}/peaks.dat", "getPeaksAsDat", "Waveform data as audiowaveform's .dat")
        }
        .says(says)
        .query(query::PEAKS)
        .answers_with(200, "The points, version 2, 16 bits.", heads, &bytes(&["application/octet-stream"])),
        op("/recordings/{id}/marks", "getMarks", "The marks of a recording, in the order of their frames")
            .query(query::PLAIN)
            .sends::<Marks>(schemas, 200, "All of them.", &marks),
        op("/recordings/{id}/marks.csv", "getMarksAsCsv", "The marks of a recording as a table")
            .query(query::PLAIN)
            .answers_with(
                200,
                "A row for each.",
                &["Cache-Control", "Content-Disposition"],
                &text("text/csv", "frame,seconds,time,text\r\n72000,1.500000000,2026-11-20T14:30:01.5Z,\"there\"\r\n"),
            ),
        op("/recordings/{id}/marks.txt", "getMarksAsLabels", "The marks of a recording as labels of Audacity")
            .query(query::PLAIN)
            .answers_with(
                200,
                "A line for each.",
                &["Cache-Control", "Content-Disposition"],
                &text("text/plain", "1.500000000\t1.500000000\tthere\n"),
            ),
    ]
}

/// Where a place may be named that is ahead of the tail.
const AHEAD: &[u16] = &[409];

const ACCEPT: &[(&str, &str, &[&str])] =
    &[("Accept", "`application/octet-stream` for the .dat.", &["application/json", "application/octet-stream"])];

fn audio() -> Vec<Operation> {
    let op = |path, id, summary| Operation::new("audio", "GET", path, id, summary).endless();
    let kinds: Vec<_> = ["audio/wav", "application/octet-stream", "audio/mpeg", "audio/ogg", "audio/flac"].into();
    let ranges = [kinds.as_slice(), &["multipart/byteranges"]].concat();
    let ranged = |more: &[&'static str]| [AUDIO, &["ETag", "Vary", "Accept-Ranges"], more].concat();
    let live = op("/streams/{stream}/{file}", "listen", "Audio of a stream, live or behind")
        .says("`Range` is ignored: each join is a new representation. A body that has to stop early is reset.")
        .query(query::LIVE)
        .answers_with(200, "A header, the burst, then audio as it comes.", &[AUDIO, ICY].concat(), &bytes(&kinds));
    let live = Operation { request_headers: TITLES, ..live };
    let recorded = Operation {
        also: AHEAD,
        ..op("/recordings/{id}/{file}", "getAudio", "Audio of a recording, finished or growing, with byte ranges")
    }
    .says("While the recording grows, a body without an end follows it; it ends cleanly only where the recording does.")
    .query(query::RECORDING)
    .answers_with(200, "All of it.", &ranged(&[]), &bytes(&kinds))
    .answers_with(206, "The bytes that were asked for.", &ranged(&["Content-Range"]), &bytes(&ranges))
    .answers_with(304, "It is what the client has.", &ranged(&[]), &json!({}))
    .answers_with(
        416,
        "These bytes do not exist, or not yet: then `Retry-After` says when they will.",
        &ranged(&["Content-Range"]),
        &json!({}),
    );
    let clip = |operation: Operation, says, query, kind: &'static str| Operation {
        also: AHEAD,
        request_headers: RANGES,
        ..operation
            .says(says)
            .query(query)
            .answers_with(200, "All of it.", &ranged(&[]), &bytes(&[kind]))
            .answers_with(
                206,
                "The bytes that were asked for.",
                &ranged(&["Content-Range"]),
                &bytes(&[kind, "multipart/byteranges"]),
            )
            .answers_with(304, "It is what the client has.", &ranged(&[]), &json!({}))
            .answers_with(416, "These bytes do not exist.", &ranged(&["Content-Range"]), &json!({}))
    };
    let wav = clip(
        op("/recordings/{id}/clip.wav", "getClip", "A part of a recording as a broadcast WAV to keep"),
        "Its `bext` chunk says when it was captured: EBU Tech 3285, in UTC. RF64 if it is longer than 4 GiB.",
        query::PART,
        "audio/wav",
    );
    let mp3 = clip(
        op("/recordings/{id}/clip.mp3", "getMp3Clip", "A part of a recording as an MP3 to keep"),
        "Its Info frame says which samples of its first and last frames count, so that decoders cut it exactly.",
        query::MP3_PART,
        "audio/mpeg",
    );
    vec![live, Operation { request_headers: RANGES, ..recorded }, wav, mp3]
}

fn playlists() -> Vec<Operation> {
    let file = |path, id, summary, kind: &'static str, example: &'static str| {
        Operation::new("audio", "GET", path, id, summary)
            .says("With whole addresses, as the client found this gateway; CR LF ends lines of .m3u and .pls.")
            .query(query::PLAYLIST)
            .answers_with(200, "The playlist.", &["Cache-Control", "Content-Disposition"], &text(kind, example))
    };
    let m3u =
        ("audio/x-mpegurl", "#EXTM3U\r\n#EXTINF:-1,Studio A\r\nhttps://radio.example/streams/studio-a/live.mp3\r\n");
    let pls = (
        "audio/x-scpls",
        "[playlist]\r\nNumberOfEntries=1\r\nFile1=https://radio.example/streams/studio-a/live.mp3\r\nTitle1=Studio A\r\nLength1=-1\r\nVersion=2\r\n",
    );
    let xspf =
        ("application/xspf+xml", "<playlist version=\"1\" xmlns=\"http://xspf.org/ns/0/\"><trackList/></playlist>");
    let (all, one) = ("A playlist of all streams", "A playlist of one stream");
    vec![
        file("/listen.m3u", "allAsM3u", all, m3u.0, m3u.1),
        file("/listen.pls", "allAsPls", all, pls.0, pls.1),
        file("/listen.xspf", "allAsXspf", all, xspf.0, xspf.1),
        file("/streams/{stream}/listen.m3u", "streamAsM3u", one, m3u.0, m3u.1),
        file("/streams/{stream}/listen.pls", "streamAsPls", one, pls.0, pls.1),
        file("/streams/{stream}/listen.xspf", "streamAsXspf", one, xspf.0, xspf.1),
    ]
}

fn events(schemas: &mut Schemas) -> Vec<Operation> {
    let data = schemas.sent::<Told>();
    let (level, beat) = (schemas.sent::<Level>(), schemas.sent::<Beat>());
    let example = format!(
        "id: 4800000\ndata: {}\n\n",
        json!({ "stream": "studio-a", "recording": AN_ID, "frames": 4_800_000, "seconds": 100.0, "state": "live", "time": "2026-11-20T14:31:40Z", "playing": null })
    );
    let content = json!({ "text/event-stream": { "schema": { "type": "string" }, "example": example, "x-data": data, "x-level": level, "x-beat": beat } });
    let op = |path, id, summary| {
        Operation::new("events", "GET", path, id, summary)
            .says("Server-sent events, at most four a second of each stream; `id` is the frame, `data` a StreamEvent. With `levels=on` also events named `level`, whose `data` is a Level. At the beginning, and whenever nothing else was sent for that long, an event named `beat` says after how many seconds at the latest something comes.")
            .query(query::EVENTS)
            .answers_with(200, "Events, until the client leaves.", &["Cache-Control"], &content)
            .endless()
    };
    vec![
        op("/events", "watch", "How far recordings go"),
        op("/streams/{stream}/events", "watchStream", "How far the recordings of one stream go"),
    ]
}

fn changes(schemas: &mut Schemas) -> Vec<Operation> {
    let op = |method, path, id, summary| Operation::new("changes", method, path, id, summary).query(query::PLAIN);
    let recording = a_whole_recording();
    let one = json!({ "application/json": { "schema": schemas.sent::<RecordingItem>(), "example": recording } });
    let whole = |operation: Operation, says| operation.answers_with(200, says, &["Cache-Control"], &one);
    vec![
        op("POST", "/streams/{stream}/recordings", "begin", "Seal the open recording and begin a new one")
            .says(
                "For the same source, without losing a frame; on a stream that is recorded on demand, begin to record.",
            )
            .answers_with(201, "The new recording.", &["Cache-Control", "Location"], &one),
        op("POST", "/streams/{stream}/skip", "skip", "Have the source go on with what comes next")
            .says("Of a source that has a list of what it plays, as one of files has; 409 for others.")
            .sends::<Program>(schemas, 200, "What it plays then, if it has said so within two seconds.", &a_program()),
        op("PUT", "/streams/{stream}/title", "setTitle", "Say what is playing")
            .says("From the next frame on, until the source says something else. Recorded on the timeline.")
            .takes::<Playing>(
                schemas,
                &json!({ "a piece": { "title": "Byrd - Ave verum corpus" }, "nothing": { "title": "" } }),
            )
            .answers_with(204, "It is said.", &[], &json!({})),
        op("DELETE", "/streams/{stream}", "deleteStream", "Remove all recordings of a stream that are not locked")
            .sends::<Deleted>(schemas, 200, "How many went and stayed.", &json!({ "removed": 12, "kept": 1 })),
        whole(
            op("PATCH", "/recordings/{id}", "update", "Change title and notes").takes::<Update>(
                schemas,
                &json!({ "title": { "title": "Evensong" }, "both": { "title": "Evensong", "notes": "two takes" } }),
            ),
            "The recording.",
        ),
        op("DELETE", "/recordings/{id}", "deleteRecording", "Remove a sealed recording that is not locked")
            .answers_with(204, "It is gone.", &[], &json!({})),
        whole(op("POST", "/recordings/{id}/seal", "seal", "Finish a recording"), "The recording, sealed."),
        whole(op("PUT", "/recordings/{id}/lock", "lock", "Have nobody delete a recording"), "The recording, locked."),
        whole(op("DELETE", "/recordings/{id}/lock", "unlock", "Let a recording be deleted"), "The recording."),
        op("POST", "/recordings/{id}/marks", "mark", "Put a mark on the timeline")
            .takes::<NewMark>(
                schemas,
                &json!({ "newest": { "text": "here" }, "seconds": { "text": "there", "pos": 1.5 } }),
            )
            .sends::<PutMark>(
                schemas,
                201,
                "The mark.",
                &json!({ "recording": AN_ID, "frame": 72_000, "seconds": 1.5, "text": "there" }),
            ),
    ]
}

fn a_program() -> Value {
    json!({ "playing": "Byrd - Ave verum corpus", "upcoming": ["Byrd - Gloria", "04 Credo"] })
}

fn a_recording() -> Value {
    json!({
        "id": AN_ID,
        "stream": "studio-a",
        "title": "Evensong",
        "source": "hall",
        "genre": "Choral",
        "spec": { "format": "s16", "rate": 48_000, "channels": 2 },
        "state": "open",
        "frames": 4_800_000,
        "seconds": 100.0,
        "bytes": 19_200_000,
        "started": "2026-11-20T14:30:00Z",
        "edge": "2026-11-20T14:31:40Z",
        "sealed": null,
        "locked": false,
        "renditions": renditions(&format!("/recordings/{AN_ID}/audio")),
        "urls": {
            "wav": format!("/recordings/{AN_ID}/audio.wav"),
            "pcm": format!("/recordings/{AN_ID}/audio.pcm"),
            "rf64": format!("/recordings/{AN_ID}/audio.rf64"),
            "peaks": format!("/recordings/{AN_ID}/peaks"),
            "loudness": format!("/recordings/{AN_ID}/loudness"),
            "timeline": format!("/recordings/{AN_ID}/timeline"),
        },
    })
}

fn renditions(stem: &str) -> Value {
    json!([
        { "names": ["mp3-128", "mp3-64"], "url": format!("{stem}.mp3"), "type": "audio/mpeg", "rate": 48_000, "channels": "1,2" },
        { "names": ["flac"], "url": format!("{stem}.flac"), "type": "audio/flac", "rate": 48_000, "channels": "1,2" },
    ])
}

fn a_whole_recording() -> Value {
    let mut recording = a_recording();
    (recording["notes"], recording["gaps"]) = (json!("two takes"), json!(0));
    recording
}

fn a_stream() -> Value {
    json!({
        "name": "studio-a",
        "title": "Evensong",
        "record": "always",
        "state": "live",
        "listeners": 3,
        "recording": a_recording(),
        "playing": "Herbert Howells: Like as the hart",
        "drift_ppm": -12.3,
        "renditions": renditions("/streams/studio-a/live"),
        "urls": {
            "wav": "/streams/studio-a/live.wav",
            "pcm": "/streams/studio-a/live.pcm",
            "m3u": "/streams/studio-a/listen.m3u",
            "pls": "/streams/studio-a/listen.pls",
            "xspf": "/streams/studio-a/listen.xspf",
            "events": "/streams/studio-a/events",
            "recordings": "/recordings?stream=studio-a",
        },
    })
}
