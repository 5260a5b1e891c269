//! What an operator gets wrong is told by name, with a way out, before anything is made.

use anyhow::{Context, Result, ensure};
use livetape_audio::WallTime;
use livetape_testkit::http;
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::redis::RedisServer;
use livetape_testkit::wait;
use livetape_tests::growing::{SECOND, SOON};
use livetape_tests::torture::{edge, verified};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Refused, with these words in what it says, and without a trace on the disk.
fn refused(start: &Start, says: &[&str]) -> Result<()> {
    let refused = start.refused()?;
    for word in says {
        ensure!(refused.stderr.contains(word), "{word:?} is not in: {}", refused.stderr);
    }
    ensure!(!refused.stderr.contains("panicked"), "{}", refused.stderr);
    Ok(())
}

#[test]
fn a_bad_variable_is_named_with_an_example() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    for (variable, value, example) in [
        ("LIVETAPE_OPS_ADDR", "nonsense", ""),
        ("LIVETAPE_SYNC_INTERVAL", "5h", "100ms"),
        ("LIVETAPE_SYNC_INTERVAL", "5", "100ms"),
        ("LIVETAPE_RESUME_WINDOW", "-1s", "5m"),
        ("LIVETAPE_KEEP_SIZE", "lots", "500GB"),
        ("LIVETAPE_KEEP_FOR", "1s", "such as 86400s"),
        ("LIVETAPE_KEEP_FREE", "some", "LIVETAPE_KEEP_FREE=20GB would be right"),
        ("LIVETAPE_ALLOW_STREAMS", "Bad Name", "LIVETAPE_ALLOW_STREAMS=studio-*,live would be right"),
        ("LIVETAPE_TRUSTED_PROXIES", "proxy", "LIVETAPE_TRUSTED_PROXIES=10.0.0.0/8 would be right"),
        ("LIVETAPE_PROXY_HEADER", "via", "x-forwarded"),
        ("LIVETAPE_UNLIMITED", "everybody", "127.0.0.0/8"),
        ("LIVETAPE_LIMIT_STREAMS", "0", "such as 4096"),
        ("LIVETAPE_LIMIT_STREAMS", "many", "LIVETAPE_LIMIT_STREAMS=4096 would be right"),
        ("LIVETAPE_LIMIT_CALL_RATE_PER_ADDRESS", "99999999", "such as 2000"),
        ("LIVETAPE_TLS_CERT", "/nowhere/cert.pem", "LIVETAPE_TLS_KEY"),
        ("LIVETAPE_TLS_CLIENT_CA", "/nowhere/ca.pem", "LIVETAPE_TLS_CERT"),
        ("LIVETAPE_CONFIG", "/nowhere/livetape.toml", "cannot read /nowhere/livetape.toml"),
        ("LIVETAPE_ACCESS", "/nowhere/access.toml", "cannot read /nowhere/access.toml"),
        ("LIVETAPE_REDIS_URL", "redis.example", "redis://"),
        ("LIVETAPE_ANONYMOUS", "everybody", "publish"),
        ("LIVETAPE_LOG_FORMAT", "xml", "json"),
        ("LIVETAPE_LOG", "info,livetape=loud", "info"),
        ("LIVETAPE_OTLP_URL", "ftp://collector", "http://HOST:4317"),
    ] {
        // Flags come before variables, and one of them says where the ops address is.
        let start = Start::recorder(&data).env(variable, value);
        if variable == "LIVETAPE_OPS_ADDR" {
            let mut command = livetape_testkit::process::command(["recorder"])?;
            command.env(variable, value).arg("--data-dir").arg(&data);
            let done = livetape_testkit::spawn::run(command, SOON)?;
            ensure!(done.code == Some(2), "{done:?}");
            ensure!(done.stderr.contains("LIVETAPE_OPS_ADDR=127.0.0.1:9464 would be right"), "{}", done.stderr);
            continue;
        }
        refused(&start, &[variable, example]).with_context(|| format!("{variable}={value}"))?;
    }
    // How large a disk is, the folder on it says.
    let keep = Start::recorder(folder.path().join("kept")).env("LIVETAPE_KEEP_FREE", "1000TB");
    refused(&keep, &["LIVETAPE_KEEP_FREE", "every recording that has ended would be removed"])?;
    let both = Start::recorder(&data).env("LIVETAPE_TLS_CERT", "/nowhere/a").env("LIVETAPE_TLS_KEY", "/nowhere/b");
    refused(&both, &["LIVETAPE_TLS_CERT", "LIVETAPE_TLS_KEY", "/nowhere/"])?;
    let redis = Start::recorder(&data).env("LIVETAPE_REDIS_URL", "rediss://127.0.0.1:9");
    refused(&redis.env("LIVETAPE_REDIS_CA", "/nowhere/ca.pem"), &["LIVETAPE_REDIS_CA", "cannot read /nowhere/ca.pem"])?;

    let nobody = "127.0.0.1:9".parse()?;
    for (variable, value, example) in [
        ("LIVETAPE_ENCODERS", "99999", "such as 64"),
        ("LIVETAPE_ENCODERS", "many", "LIVETAPE_ENCODERS=64 would be right"),
        ("LIVETAPE_RENDITIONS", "mp3-33", "mp3-128"),
        ("LIVETAPE_LIMIT_HEAD_SIZE", "1", "such as 32768"),
        ("LIVETAPE_LIMIT_HEAD_TIME", "5h", "such as 15s"),
        ("LIVETAPE_RECORDER_CA", "/nowhere/ca.pem", "cannot read /nowhere/ca.pem"),
        ("LIVETAPE_RECORDER_CERT", "/nowhere/cert.pem", "cannot read /nowhere/cert.pem"),
        ("LIVETAPE_TOKEN_FILE", "/nowhere/token", "cannot be read: /nowhere/token"),
        ("LIVETAPE_READ", "disk", "recorder"),
        ("LIVETAPE_DRAIN", "5h", "5s"),
        ("LIVETAPE_HOSTS", "a b", "radio.example"),
        ("LIVETAPE_CORS_ORIGINS", "radio.example", "https://radio.example"),
    ] {
        let start = Start::gateway(nobody).env(variable, value);
        refused(&start, &[variable, example]).with_context(|| format!("{variable}={value}"))?;
    }
    let folder_of_nobody = Start::gateway(nobody).env("LIVETAPE_READ", "dir").env("LIVETAPE_DATA_DIR", &data);
    refused(&folder_of_nobody, &["LIVETAPE_READ=recorder", "LIVETAPE_DATA_DIR"])?;

    let file = folder.path().join("a file");
    std::fs::write(&file, "")?;
    let in_the_way = file.to_str().context("a plain path")?;
    for (variable, value, example) in [
        ("LIVETAPE_SPOOL_DIR", in_the_way, "Not a directory"),
        ("LIVETAPE_TOKEN_FILE", "/nowhere/token", "cannot be read: /nowhere/token"),
        ("LIVETAPE_RECORDER_CERT", "/nowhere/cert.pem", "cannot read /nowhere/cert.pem"),
        ("LIVETAPE_SOURCE_ADDR", "0.0.0.0:8000", "LIVETAPE_ACCESS"),
    ] {
        let start = Start::capture(nobody).env(variable, value);
        refused(&start, &[variable, example]).with_context(|| format!("{variable}={value}"))?;
    }
    for (args, variable, value, example) in [
        (["--stream", "live"], "LIVETAPE_RECORDER_URL", "nonsense", "http://recorder:7070"),
        (
            ["--stream", "live"],
            "LIVETAPE_SOURCE_ADDR",
            "nonsense",
            "LIVETAPE_SOURCE_ADDR=127.0.0.1:8000 would be right",
        ),
        (["--source", "radio"], "LIVETAPE_LOG", "info", "time-signal"),
        (["--stream", "Bad"], "LIVETAPE_LOG", "info", "a-z"),
    ] {
        let mut command = livetape_testkit::process::command(["capture", "--ops-addr", "127.0.0.1:0"])?;
        command.args(args).env(variable, value);
        let done = livetape_testkit::spawn::run(command, SOON)?;
        ensure!(done.code != Some(0) && done.stderr.contains(example), "{args:?} {variable}={value}: {done:?}");
        ensure!(variable == "LIVETAPE_LOG" || done.stderr.contains(variable), "{variable}: {}", done.stderr);
    }
    ensure!(!data.exists(), "nothing was made");
    Ok(())
}

#[test]
fn a_spool_that_cannot_be_written_to_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let spool = folder.path().join("spool");
    std::fs::create_dir(&spool)?;
    std::fs::set_permissions(&spool, std::fs::Permissions::from_mode(0o555))?;
    let start = Start::capture("127.0.0.1:9".parse()?).env("LIVETAPE_SPOOL_DIR", &spool);
    refused(&powerless(start), &[spool.to_str().context("a plain path")?, "Permission denied", "LIVETAPE_SPOOL_DIR"])
}

#[test]
fn a_volume_that_cannot_be_written_to_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    std::fs::create_dir(&data)?;
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o555))?;
    let start = Start::recorder(&data);
    let start = powerless(start);
    let path = data.to_str().context("a plain path")?;
    refused(&start, &[path, "Permission denied", "LIVETAPE_DATA_DIR"])?;
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755))?;
    start.spawn()?.stop()
}

/// Root may write anywhere, unless it has no capabilities.
fn powerless(start: Start) -> Start {
    match is_root() {
        true => start.through(["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"]),
        false => start,
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)
}

/// The one recording of the stream `live`, once it has this much audio.
fn recorded(livetape: &Livetape, bytes: u64) -> Result<String> {
    wait::until("a recording", SOON, || {
        let list = http::json(livetape.http(), "/recordings?stream=live").ok()?;
        let id = list["recordings"].as_array()?.last()?["id"].as_str()?.to_owned();
        (edge(livetape.http(), &id).ok()? >= bytes).then_some(id)
    })
}

#[test]
fn a_folder_of_a_newer_version_is_left_alone() -> Result<()> {
    let data = tempfile::tempdir()?;
    let livetape = Start::new(data.path()).source("counting").spawn()?;
    let id = recorded(&livetape, SECOND)?;
    livetape.stop()?;
    let newer = |file: &Path| -> Result<String> {
        let before = std::fs::read_to_string(file)?;
        let after = before.replacen("\"format\": 1", "\"format\": 99", 1);
        ensure!(after != before, "{before}");
        std::fs::write(file, &after)?;
        Ok(before)
    };
    // A recording: it stays as it is, and the stream goes on in another.
    let description = data.path().join("live").join(&id).join("recording.json");
    let before = newer(&description)?;
    let livetape = Start::new(data.path()).source("counting").spawn()?;
    livetape.logged("written by a newer version (format 99", SOON)?;
    let next = recorded(&livetape, SECOND)?;
    ensure!(next != id, "{next}");
    livetape.stop()?;
    ensure!(std::fs::read_to_string(&description)?.contains("\"format\": 99"), "it was changed");
    std::fs::write(&description, before)?;
    verified(data.path())?;
    // The folder as a whole: nothing is recorded into it.
    newer(&data.path().join("recorder.json"))?;
    refused(&Start::new(data.path()), &["recorder.json", "newer version", "upgrade"])
}

#[test]
fn a_clock_that_was_never_set_records_and_is_told() -> Result<()> {
    let library = std::fs::read_dir("/usr/lib")?
        .flatten()
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists())
        .context("libfaketime is not installed: scripts/setup.sh test")?;
    let preload = format!("LD_PRELOAD={}", library.display());
    let unset = |start: Start| {
        start.through(["env", &preload, "TZ=UTC", "FAKETIME=@1970-01-01 00:00:30", "FAKETIME_DONT_FAKE_MONOTONIC=1"])
    };
    let data = tempfile::tempdir()?;
    let livetape = unset(Start::new(data.path()).source("counting")).spawn()?;
    livetape.logged("clock", SOON)?;
    let id = recorded(&livetape, 2 * SECOND)?;
    let started = http::json(livetape.http(), &format!("/recordings/{id}"))?["started"].clone();
    let started: WallTime = started.as_str().context("a time")?.parse()?;
    ensure!(started.to_string().starts_with("1970-01-01T00:"), "{started}");
    livetape.stop()?;
    // Set meanwhile: the recording goes on after a gap, the same numbers, times of day from now on right.
    let livetape = Start::new(data.path()).source("counting").spawn()?;
    let again = recorded(&livetape, 3 * SECOND)?;
    ensure!(again == id, "{again} instead of {id}");
    livetape.stop()?;
    verified(data.path())
}

#[test]
fn a_redis_that_is_not_there_at_the_start_keeps_nobody_waiting() -> Result<()> {
    let (data, port) = (tempfile::tempdir()?, TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
    let url = format!("redis://127.0.0.1:{port}");
    let recorder = Start::recorder(data.path()).args(["--redis-url", &url]).spawn()?;
    let gateway = Start::gateway(recorder.grpc()).args(["--redis-url", &url]).spawn()?;
    let capture = Start::capture(recorder.grpc()).source("counting").spawn()?;
    recorded(&gateway, SECOND)?;
    let counts = |of: &Livetape, line: &str| {
        let text = http::get(of.ops(), "/metrics").send().ok()?.body().ok()?;
        String::from_utf8_lossy(&text).lines().any(|shown| shown == line).then_some(())
    };
    counts(&recorder, "livetape_recorder_redis_works 0").context("there is no Redis")?;
    counts(&gateway, "livetape_gateway_redis_works 0").context("there is no Redis")?;
    let _redis = RedisServer::start_on(port, &[])?;
    wait::until("the recorder finds it", SOON, || counts(&recorder, "livetape_recorder_redis_works 1"))?;
    wait::until("the gateway finds it", SOON, || counts(&gateway, "livetape_gateway_redis_works 1"))?;
    capture.stop()?;
    gateway.stop()?;
    recorder.stop()
}
