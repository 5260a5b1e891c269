//! Refusals and heads: what is the same for many addresses.

use super::operations::Operation;
use livetape_access::{Endpoint, Needs};
use serde_json::{Map, Value, json};

/// A refusal that many addresses may give.
struct Refusal {
    status: u16,
    name: &'static str,
    says: &'static str,
    /// `error` and `hint` of the example.
    example: (&'static str, &'static str),
    /// A header that it always has.
    header: Option<&'static str>,
}

const fn refusal(
    status: u16,
    name: &'static str,
    says: &'static str,
    example: (&'static str, &'static str),
    header: Option<&'static str>,
) -> Refusal {
    Refusal { status, name, says, example, header }
}

const REFUSALS: &[Refusal] = &[
    refusal(
        400,
        "BadRequest",
        "Address, query, headers or body were not understood, or contradict themselves.",
        ("the parameter \"pso\" is unknown here", "a recording takes pos, from, to and len"),
        None,
    ),
    refusal(
        401,
        "Unauthorized",
        "Showing who one is may help.",
        ("to listen here, show that you may", "send a token as Authorization: Bearer TOKEN, or log in on the page"),
        Some("WWW-Authenticate"),
    ),
    refusal(
        403,
        "Forbidden",
        "Not with what was shown; or not from another web site's page.",
        ("ann may not manage stream studio-a", "whoever looks after this gateway can allow it"),
        None,
    ),
    refusal(
        404,
        "NotFound",
        "There is no such stream, recording or file, or the place lies outside a finished recording.",
        ("there is no stream studio-b", "see /streams for those that there are"),
        None,
    ),
    refusal(
        405,
        "MethodNotAllowed",
        "This gateway knows no recorder that would carry out a change.",
        ("this gateway only lets listen: nothing is changed through it", "use GET or HEAD"),
        Some("Allow"),
    ),
    refusal(
        408,
        "RequestTimeout",
        "The body did not come in time.",
        ("the body did not come within 5s", "send it again"),
        None,
    ),
    refusal(
        409,
        "Conflict",
        "Not in this state; the text says what to do first. With `Retry-After` where only time is needed: a place ahead of the tail.",
        ("the recording is locked", "do what the text says first, then try again"),
        None,
    ),
    refusal(
        413,
        "ContentTooLarge",
        "The body is longer than it may be.",
        ("the body is longer than 65536 bytes", "say less"),
        None,
    ),
    refusal(
        414,
        "UriTooLong",
        "The path is longer than any here.",
        ("the path is longer than 1024 bytes", "no address here is that long"),
        None,
    ),
    refusal(
        415,
        "UnsupportedMediaType",
        "The body is not said to be JSON.",
        ("the body is not said to be JSON", "send JSON with Content-Type: application/json"),
        None,
    ),
    refusal(
        421,
        "MisdirectedRequest",
        "The gateway is not known under the name in `Host`.",
        (
            "this gateway is not known as \"radio.example\"",
            "use its IP address or localhost, or add the name to LIVETAPE_HOSTS",
        ),
        None,
    ),
    refusal(
        429,
        "TooManyRequests",
        "A client has taken as much as it may at once, or has failed too often to prove who it is.",
        (
            "there are at most 200 requests in a second from one address",
            "come back later; whoever looks after this service can allow more with LIVETAPE_LIMIT_REQUEST_RATE_PER_ADDRESS",
        ),
        Some("Retry-After"),
    ),
    refusal(
        500,
        "InternalServerError",
        "Nobody's fault outside; details are in the gateway's log.",
        ("the recording could not be read", "try again; the gateway's log says why"),
        None,
    ),
    refusal(
        501,
        "NotImplemented",
        "The recorder is of a version that does not know this.",
        ("the recorder cannot do this", "run the same version everywhere"),
        None,
    ),
    refusal(
        502,
        "BadGateway",
        "The recorder failed.",
        ("the recorder gave no reason", "see the recorder's log, and look before trying again"),
        None,
    ),
    refusal(
        503,
        "ServiceUnavailable",
        "Not now: too much at once, nothing recorded at the moment, or a recorder that is away.",
        (
            "nothing is being recorded on studio-a now",
            "come back when it records again, or hear what was recorded: `offset` or `at`, or see /recordings",
        ),
        Some("Retry-After"),
    ),
    refusal(
        507,
        "InsufficientStorage",
        "The disk is full, or there are as many recordings as there may be.",
        ("the disk is full", "make room, then try again"),
        None,
    ),
];

/// Every reply has them but those that are given before a request was understood.
const ALWAYS: [&str; 4] =
    ["X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Resource-Policy", "Permissions-Policy"];

/// References to headers.
pub(super) fn with_headers<'a>(names: impl IntoIterator<Item = &'a str>) -> Value {
    let refer = |name: &str| (name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }));
    Value::Object(ALWAYS.into_iter().chain(names).map(refer).collect())
}

pub(super) fn components() -> Map<String, Value> {
    let mut all: Map<_, _> = REFUSALS.iter().map(|refusal| (refusal.name.to_owned(), component(refusal))).collect();
    let too_large = "The head of the request is larger than 32 KiB. Has no body.";
    all.insert("HeaderFieldsTooLarge".into(), json!({ "description": too_large }));
    all
}

fn component(refusal: &Refusal) -> Value {
    let (error, hint) = refusal.example;
    let mut headers = with_headers(refusal.header);
    if matches!(refusal.status, 429 | 503)
        && let Some(headers) = headers.as_object_mut()
    {
        // Who is turned away at the door gets only what matters.
        headers.retain(|name, _| name == "Retry-After");
    }
    json!({
        "description": refusal.says,
        "headers": headers,
        "content": { "application/json": {
            "schema": { "$ref": "#/components/schemas/Problem" },
            "example": { "error": error, "hint": hint },
        } },
    })
}

/// Which refusals an address may give.
pub(super) fn refusals(operation: &Operation, row: &Endpoint) -> Map<String, Value> {
    let (needs_right, has_names) = (row.needs != Needs::Nothing, row.path.contains('{'));
    let is_change = row.method != "GET";
    let by_recorder = is_change && needs_right;
    let applies = |status| match status {
        400 => true,
        // Whoever checks whether the process is well asks by whatever name it has.
        421 => !matches!(row.path, "/healthz" | "/readyz"),
        401 => needs_right,
        403 => needs_right || is_change,
        404 | 414 => has_names,
        405 | 408 | 409 | 413 | 415 | 502 | 507 => by_recorder,
        500 | 501 => needs_right,
        429 | 503 => true,
        _ => false,
    };
    let refer = |refusal: &Refusal| {
        let reference = json!({ "$ref": format!("#/components/responses/{}", refusal.name) });
        (refusal.status.to_string(), reference)
    };
    let also = |status| operation.also.contains(&status);
    let mut all: Map<_, _> =
        REFUSALS.iter().filter(|refusal| applies(refusal.status) || also(refusal.status)).map(refer).collect();
    all.insert("431".into(), json!({ "$ref": "#/components/responses/HeaderFieldsTooLarge" }));
    all
}

/// Of `OPTIONS`.
pub(super) fn preflight() -> Value {
    let cors = [
        "Access-Control-Allow-Origin",
        "Access-Control-Allow-Methods",
        "Access-Control-Allow-Headers",
        "Access-Control-Max-Age",
    ];
    json!({
        "204": { "description": "Without the headers of CORS: nothing.", "headers": with_headers(cors) },
        "400": { "$ref": "#/components/responses/BadRequest" },
        "421": { "$ref": "#/components/responses/MisdirectedRequest" },
        "431": { "$ref": "#/components/responses/HeaderFieldsTooLarge" },
        "429": { "$ref": "#/components/responses/TooManyRequests" },
        "503": { "$ref": "#/components/responses/ServiceUnavailable" },
    })
}

pub(super) fn headers() -> Map<String, Value> {
    let text = |says: &str, required: bool, example: &str| json!({ "description": says, "required": required, "schema": { "type": "string" }, "example": example });
    let number = |says: &str, example: u64| json!({ "description": says, "required": true, "schema": { "type": "integer", "minimum": 0 }, "example": example });
    let all = [
        ("X-Content-Type-Options", text("Always `nosniff`.", true, "nosniff")),
        ("Permissions-Policy", text("What no page here may ask a browser for.", true, "microphone=()")),
        ("Referrer-Policy", text("Always `no-referrer`.", true, "no-referrer")),
        (
            "Cross-Origin-Resource-Policy",
            text("Whether pages of other origins may use the reply.", true, "same-origin"),
        ),
        (
            "Access-Control-Allow-Origin",
            text("The origin that may read replies, if it is configured.", false, "https://radio.example"),
        ),
        ("Access-Control-Allow-Methods", text("What its pages may send.", false, "GET, HEAD")),
        (
            "Access-Control-Allow-Headers",
            text("With which headers.", false, "Authorization, Range, If-Range, Icy-MetaData"),
        ),
        ("Access-Control-Max-Age", text("Seconds for which this counts.", false, "600")),
        ("Cache-Control", text("Whether the reply may be kept.", true, "no-store")),
        ("WWW-Authenticate", text("How to show who one is.", true, "Bearer realm=\"livetape\"")),
        ("Allow", text("The methods that there are.", true, "GET, HEAD, OPTIONS")),
        ("Retry-After", number("Seconds after which to come back.", 1)),
        ("Location", text("Address of the new recording.", true, "/recordings/01932c07-209c-7a3e-8c1f-5d2e9b7a4f10")),
        (
            "Set-Cookie",
            text(
                "The cookie `livetape`: `HttpOnly`, `SameSite=Strict`.",
                true,
                "livetape=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0",
            ),
        ),
        (
            "ETag",
            text("Strong, and the same while a recording grows: bytes are only appended.", true, "\"0193-0-open-wav\""),
        ),
        (
            "Vary",
            text(
                "By which request headers the length mode was chosen.",
                false,
                "Sec-Fetch-Dest, User-Agent, Icy-MetaData",
            ),
        ),
        ("Accept-Ranges", text("`bytes`, where there are ranges.", false, "bytes")),
        (
            "Content-Range",
            text("Which bytes. Of several ranges each part has its own.", false, "bytes 0-1099511627775/1099511627776"),
        ),
        (
            "Content-Disposition",
            text(
                "What the file is called by whoever keeps it.",
                true,
                "inline; filename=\"studio-a-2026-11-20T14-30-00Z.wav\"",
            ),
        ),
        (
            "X-Audio-Format",
            text(
                "Sample format, rate and channels, where the audio is as it was recorded; of three channels and more also for which \
                 loudspeakers they are, `;layout=FL+FR+FC+LFE+BL+BR`, where that is known.",
                false,
                "s16le;rate=48000;channels=2",
            ),
        ),
        (
            "X-Livetape-Rendition",
            text("What it was encoded to, and of which channels.", false, "mp3-128;rate=44100;channels=1,2"),
        ),
        ("icy-name", text("Of live MP3: what the stream is called.", false, "Studio A")),
        ("icy-genre", text("Of live MP3: what the source says of it, if it does.", false, "Jazz")),
        ("icy-br", text("Of live MP3: kbit/s.", false, "128")),
        ("icy-pub", text("Of live MP3: whether directories may list it.", false, "0")),
        ("icy-url", text("Of live MP3: the page.", false, "https://radio.example/")),
        ("icy-metaint", text("Bytes of audio between two titles, for who sent `Icy-MetaData: 1`.", false, "16000")),
        ("X-Livetape-First-Frame", number("Where in the recording the view starts.", 4_560_000)),
        ("X-Livetape-End-Frame", number("The frame after the last one that the points tell of.", 4_800_000)),
        ("X-Livetape-Recording", text("In which recording it starts.", true, "01932c07-209c-7a3e-8c1f-5d2e9b7a4f10")),
    ];
    all.map(|(name, header)| (name.to_owned(), header)).into_iter().collect()
}
