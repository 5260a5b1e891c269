//! Layers of settings, and what is refused.

use super::capture::CaptureFlags;
use super::clients::{LimitFlags, ProxyFlags};
use super::gateway::GatewayFlags;
use super::recorder::RecorderFlags;
use super::*;
use clap::Parser;
use livetape_capture::{CaptureConfig, SourceConfig, SourceSpec};
use livetape_gateway::GatewayConfig;
use livetape_recorder::RecorderConfig;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    data: DataFlag,
    #[command(flatten)]
    access: super::access::AccessFlags,
    #[command(flatten)]
    redis: RedisFlag,
    #[command(flatten)]
    recorder: RecorderFlags,
    #[command(flatten)]
    gateway: GatewayFlags,
    #[command(flatten)]
    capture: CaptureFlags,
    #[command(flatten)]
    proxies: ProxyFlags,
    #[command(flatten)]
    limits: LimitFlags,
}

struct Settings {
    sources: Vec<SourceConfig>,
    capture: CaptureConfig,
    recorder: RecorderConfig,
    gateway: GatewayConfig,
}

fn merged(line: &[&str], file: &str) -> Result<Settings, String> {
    let file: File = toml::from_str(file).map_err(|e| e.to_string())?;
    let line = Line::try_parse_from([&["run"], line].concat()).map_err(|e| e.to_string())?;
    let text = |e: anyhow::Error| format!("{e:#}");
    line.redis.config(&file).map_err(text)?;
    let policy = line.access.policy(&file).map_err(text)?;
    let capture = line.capture.config(RecorderAddress::new("http://127.0.0.1:1"), &file).map_err(text)?;
    Ok(Settings {
        sources: capture.sources.clone(),
        capture,
        recorder: line
            .recorder
            .config(&line.data, &policy, &file)
            .and_then(|config| line.limits.recorder(config, &file))
            .map_err(text)?,
        gateway: line
            .gateway
            .config(&policy, &file)
            .and_then(|config| line.limits.gateway(config, &file))
            .map(|config| GatewayConfig { proxies: line.proxies.proxies(&file), ..config })
            .map_err(text)?,
    })
}

fn streams(settings: &Settings) -> Vec<(&str, &SourceSpec, String)> {
    settings.sources.iter().map(|s| (s.stream.as_str(), &s.source, s.shape.spec().unwrap().to_string())).collect()
}

#[test]
fn without_anything_the_time_signal_on_live() {
    let settings = merged(&[], "").unwrap();
    assert_eq!(streams(&settings), [("live", &SourceSpec::TimeSignal, "s16le;rate=48000;channels=2".into())]);
    assert!(settings.gateway.addr.ip().is_loopback() && settings.recorder.grpc_addr.ip().is_loopback());
    assert_eq!(merged(&["--source", "none"], "").unwrap().sources[0].source, SourceSpec::None);
}

#[test]
fn flags_come_before_the_file() {
    let file = "http_addr = \"127.0.0.1:1\"\nsync_interval = \"1s\"\n[[source]]\nstream = \"a\"\nsource = \"tone\"";
    let settings = merged(&["--http-addr", "127.0.0.1:2"], file).unwrap();
    assert_eq!((settings.gateway.addr.port(), settings.recorder.sync_interval), (2, Duration::from_secs(1)));
    assert_eq!(streams(&settings), [("a", &SourceSpec::Tone, "s16le;rate=48000;channels=2".into())]);
    let settings = merged(&["--rate", "96000"], &format!("{file}\nrate = 44100")).unwrap();
    assert_eq!(settings.sources[0].shape.spec().unwrap().rate(), 96_000);
    let settings = merged(&["--stream", "b", "--source", "noise", "--rate", "44100", "--format", "s24"], file).unwrap();
    assert_eq!(streams(&settings), [("b", &SourceSpec::Noise, "s24le;rate=44100;channels=2".into())]);
    // What channels are for says how many there are.
    let file = "[[source]]\nstream = \"c\"\nsource = \"tone\"\nlayout = \"FL+FR+FC\"\n";
    let shape = |args: &[&str]| streams(&merged(args, file).unwrap())[0].2.clone();
    assert_eq!(shape(&[]), "s16le;rate=48000;channels=3;layout=FL+FR+FC");
    assert_eq!(shape(&["--channels", "2"]), "s16le;rate=48000;channels=2");
    assert_eq!(shape(&["--channels", "3"]), "s16le;rate=48000;channels=3;layout=FL+FR+FC");
    assert_eq!(shape(&["--layout", "FL+FR+BL+BR"]), "s16le;rate=48000;channels=4;layout=FL+FR+BL+BR");
    let four = "[[source]]\nstream = \"c\"\nsource = \"tone\"\nchannels = 4\n";
    let shape = |args: &[&str]| streams(&merged(args, four).unwrap())[0].2.clone();
    assert_eq!(shape(&["--layout", "none"]), "s16le;rate=48000;channels=4");
    assert_eq!(shape(&["--layout", "FL+FR+FC"]), "s16le;rate=48000;channels=3;layout=FL+FR+FC");
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let cases: [(&[&str], &str, &str); 22] = [
        (&["--rate", "1"], "", "1 Hz"),
        (&["--channels", "9"], "", "9 channels"),
        (&["--channels", "5", "--layout", "FL+FR+FC"], "", "FL+FR+FC is of 3 channels, and there are 5"),
        (&[], "[[source]]\nstream = \"a\"\nsource = \"tone\"\nlayout = \"5.1\"", "FL+FR+FC+LFE+BL+BR"),
        (&["--stream", "a", "--source", "tone", "--source", "noise"], "", "1 times --stream and 2 times --source"),
        (&["--stream", "a", "--stream", "b", "--source", "tone"], "", "2 times --stream and 1 times --source"),
        (&["--sync-interval", "2s"], "", "sync_interval"),
        (&["--sync-interval", "1ms"], "", "sync_interval"),
        (&[], "[[source]]\nstream = \"a\"\nsource = \"gramophone\"", "stream a"),
        (&["--keep-free", "1KB"], "", "keep_free (LIVETAPE_KEEP_FREE) is"),
        (&[], "keep_size = \"0B\"", "keep_size (LIVETAPE_KEEP_SIZE) is"),
        (&["--keep-for", "1s"], "", "keep_for"),
        (&["--queue-size", "64KiB"], "", "queue_size (LIVETAPE_QUEUE_SIZE) is"),
        (&["--spool-dir", "spool"], "spool_size = \"2TiB\"", "spool_size (LIVETAPE_SPOOL_SIZE) is"),
        (&["--spool-size", "1GiB"], "", "LIVETAPE_SPOOL_DIR"),
        (&["--limit-call-stall", "1ms"], "", "LIVETAPE_LIMIT_CALL_STALL"),
        (&["--limit-listeners", "0"], "", "limits.listeners (LIVETAPE_LIMIT_LISTENERS)"),
        (&[], "[limits]\nrecordings = 4000000000", "1 to 10000000 are possible"),
        (&["--limit-head-size", "1KB"], "", "LIVETAPE_LIMIT_HEAD_SIZE"),
        (&["--limit-stall", "1ms"], "", "LIVETAPE_LIMIT_STALL"),
        (&[], "[limits]\nlisteners_per_adress = 1", "listeners_per_adress"),
        (&[], "trusted_proxies = [\"proxy.example\"]", "192.0.2.7 or 10.0.0.0/8"),
    ];
    for (line, file, word) in cases {
        let error = merged(line, file).err().unwrap_or_default();
        assert!(error.contains(word), "{line:?} {file:?}: {error}");
    }
    for line in [["--sync-interval", "soon"], ["--stream", "../x"], ["--source", "gramophone"], ["--anonymous", "all"]]
    {
        assert!(merged(&line, "").is_err(), "{line:?}");
    }
}

#[test]
fn what_is_open_without_an_access_file_closes_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.toml");
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    std::fs::write(&path, format!("[[token]]\nname = \"a\"\nsha256 = \"{hash}\"\ngrants = [\"listen:*\"]\n")).unwrap();
    let with = format!("access = {path:?}\n");
    let open = |anonymous: &str, file: &str| {
        let settings = merged(&["--http-addr", "0.0.0.0:0", "--anonymous", anonymous], file).unwrap();
        settings.gateway.access.unwrap().nobody(false).grants().to_string()
    };
    let built_in = "listen,manage,unless-access,watch";
    assert_eq!((open(built_in, ""), open(built_in, &with)), ("listen,manage:*".into(), String::new()));
    assert_eq!(open("listen", &with), "listen:*", "in so many words");
    // Of a compose file whose user leaves it empty: `${EMPTY-listen},watch`.
    assert_eq!((open(",watch", ""), open(",watch", &with)), (String::new(), String::new()));
    let in_file = format!("anonymous = [\"listen\", \"unless-access\"]\n{with}");
    let settings = merged(&["--http-addr", "0.0.0.0:0"], &in_file).unwrap();
    assert!(settings.gateway.access.unwrap().nobody(false).grants().is_empty());
    assert!(merged(&[], "anonymous = [\"\"]").is_err());
}

#[test]
fn what_is_said_to_be_everybodys_is_so_for_whom_a_proxy_of_this_machine_asks() {
    let may = |line: &[&str], file: &str| {
        let settings = merged(line, file).unwrap();
        let [gateway, recorder] = [settings.gateway.access, settings.recorder.access].map(Option::unwrap);
        assert_eq!(gateway.nobody(true).grants(), recorder.nobody(true).grants());
        [true, false].map(|is_here| gateway.nobody(is_here).grants().to_string())
    };
    let (all, listen) = ("publish,listen,export,manage:*", "listen:*");
    assert_eq!(may(&[], ""), [all, ""]);
    assert_eq!(may(&[], "anonymous = []"), [all, ""], "as in docs/livetape.toml");
    assert_eq!(may(&["--anonymous", "watch"], ""), [all, ""], "which is about no stream");
    assert_eq!(may(&["--anonymous", "listen"], ""), [all, listen]);
    assert_eq!(may(&[], "anonymous = [\"listen\", \"watch\"]"), [all, listen]);
    let elsewhere = ["--http-addr", "0.0.0.0:8080", "--grpc-addr", "0.0.0.0:8081", "--anonymous", "listen"];
    assert_eq!(may(&elsewhere, ""), [listen, listen]);
}

#[test]
fn how_much_waits_for_the_recorder() {
    let built_in = merged(&[], "").unwrap().capture;
    assert_eq!((built_in.queue_bytes, built_in.spool.is_none()), (4 << 20, true));
    let file = "spool_dir = \"/a\"\nspool_size = \"2GiB\"\nqueue_size = \"8MiB\"";
    let kept = |line: &[&str]| {
        let capture = merged(line, file).unwrap().capture;
        let spool = capture.spool.unwrap();
        (capture.queue_bytes, spool.dir.display().to_string(), spool.max_bytes)
    };
    assert_eq!(kept(&[]), (8 << 20, "/a".into(), 2 << 30));
    let line = ["--spool-dir", "/b", "--spool-size", "1MiB", "--queue-size", "1MiB"];
    assert_eq!(kept(&line), (1 << 20, "/b".into(), 1 << 20));
    let usual = merged(&["--spool-dir", "/b"], "").unwrap().capture.spool.unwrap();
    assert_eq!(usual.max_bytes, 1 << 30);
}

#[test]
fn what_is_kept() {
    let kept = |line: &[&str], file: &str| {
        let retention = merged(line, file).unwrap().recorder.retention;
        (retention.max_age.map(|age| age.as_secs()), retention.max_bytes, retention.min_free_bytes)
    };
    assert_eq!(kept(&[], ""), (None, None, None));
    // As in docs/livetape.toml.
    let file = "keep_for = \"90d\"\nkeep_size = \"500GB\"\nkeep_free = \"20GB\"";
    let all = (Some(90 * 86_400), Some(500_000_000_000), Some(20_000_000_000));
    assert_eq!(kept(&[], file), all);
    let line = ["--keep-for", "36h", "--keep-size", "1MiB", "--keep-free", "1GiB"];
    assert_eq!(kept(&line, file), (Some(36 * 3600), Some(1 << 20), Some(1 << 30)));
}

#[test]
fn limits_and_proxies_of_flags_and_file() {
    let file = "trusted_proxies = [\"10.0.0.0/8\"]\nproxy_header = \"forwarded\"\nunlimited = []\n\
                [limits]\nlisteners = 5\nfailed_proofs = 6\nstreams = 7\nhead_size = \"16KiB\"";
    let settings = merged(&["--limit-listeners", "8", "--unlimited", "192.0.2.1,::/0"], file).unwrap();
    let Settings { gateway, recorder, .. } = settings;
    assert_eq!((gateway.limits.bodies, gateway.limits.head, recorder.limits.streams), (8, 16 << 10, 7));
    assert_eq!((gateway.clients.failed_proofs, recorder.limits.clients.failed_proofs), (6, 6));
    let is_in = |networks: &livetape_service::Networks, ip: &str| networks.contain(ip.parse().unwrap());
    assert!(is_in(&gateway.clients.unlimited, "192.0.2.1") && !is_in(&gateway.clients.unlimited, "127.0.0.1"));
    assert!(is_in(&recorder.limits.clients.unlimited, "2001:db8::1") && is_in(&gateway.proxies.trusted, "10.1.2.3"));
    assert_eq!(gateway.proxies.header, livetape_service::ProxyHeader::Forwarded);
    let none = merged(&["--unlimited", "none"], "").unwrap().gateway.clients.unlimited;
    assert!(none.is_empty() && merged(&[], "unlimited = []").unwrap().gateway.clients.unlimited.is_empty());
    for bad in [["--unlimited", "everybody"], ["--trusted-proxies", "10.0.0.0/40"], ["--proxy-header", "x-real-ip"]] {
        assert!(merged(&bad, "").is_err(), "{bad:?}");
    }
}

#[test]
fn the_documented_file_says_what_is_built_in() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/livetape.toml")).unwrap();
    let [documented, built_in] = [text.as_str(), ""].map(|file| merged(&[], file).unwrap());
    assert_eq!(format!("{:?}", documented.gateway), format!("{:?}", built_in.gateway));
    let of = |r: &RecorderConfig| {
        (r.data_dir.clone(), r.grpc_addr, r.sync_interval, r.resume_window, r.roll_after, r.limits.clone())
    };
    assert_eq!(of(&documented.recorder), of(&built_in.recorder));
    assert_eq!(streams(&documented), streams(&built_in));
    // The commented source is a valid one.
    let source: String = text
        .lines()
        .skip_while(|l| *l != "# [[source]]")
        .map(|l| l.trim_start_matches("# ").to_owned() + "\n")
        .collect();
    assert_eq!(merged(&[], &source).unwrap().sources.len(), 1);
}

#[test]
fn renditions_and_encoders() {
    let settings = merged(&["--encoders", "3"], "renditions = [\"opus-96\", \"flac\"]\nencoders = 5").unwrap();
    assert_eq!(
        (settings.gateway.renditions.to_string().as_str(), settings.gateway.limits.encoders),
        ("opus-96, flac", 3)
    );
    let refused = |line: &[&str]| merged(line, "").err().unwrap();
    assert!(refused(&["--renditions", "mp3-128,mp3-129"]).contains("LIVETAPE_RENDITIONS"));
    assert!(refused(&["--encoders", "10001"]).contains("LIVETAPE_ENCODERS"));
}
