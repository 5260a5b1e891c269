//! What each client may take where sources push: so many at once and so often, counted for the client and not for its proxy; what is
//! too much gets 429 and a time to come back. And who pushed stands on the timeline, by name.

use anyhow::{Context, Result, ensure};
use livetape_access::{Secret, hash_password};
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::{http, wait};
use livetape_tests::growing::SOON;
use livetape_tests::pushes::{Push, counting_wav};
use std::net::SocketAddr;
use std::time::Duration;

const WAV: &str = "Content-Type: audio/wav";
const SECOND: usize = 192_000;

/// A service on which this machine has no privileges.
fn strict(args: &[&str]) -> Result<(Livetape, tempfile::TempDir)> {
    let data = tempfile::tempdir()?;
    let args = [&["--unlimited", "none"][..], args].concat();
    Ok((Start::new(data.path().join("data")).source("none").args(args).spawn()?, data))
}

fn figure(livetape: &Livetape, limit: &str) -> Result<u64> {
    let text = String::from_utf8(http::get(livetape.http(), "/metrics").send()?.body()?)?;
    let series = format!("livetape_capture_limit_rejections_total{{limit=\"{limit}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&series));
    value.with_context(|| format!("no {series}"))?.parse().context("a number")
}

/// The answer to a source that has come too often.
fn too_much(to: SocketAddr, line: &str, fields: &[&str], setting: &str) -> Result<()> {
    let mut push = Push::begin(to, line, fields)?;
    let (status, head) = push.answer()?;
    let text = push.text()?;
    ensure!(status == 429 && head.contains("Retry-After: "), "{head}{text}");
    ensure!(text.contains(setting), "{text}");
    Ok(())
}

#[test]
fn so_many_sources_of_one_address() -> Result<()> {
    let (livetape, _data) = strict(&["--limit-sources-per-address", "1"])?;
    let to = livetape.sources();
    let mut one = Push::begin(to, "SOURCE /a HTTP/1.0", &[WAV])?;
    ensure!(one.status()? == 200);
    too_much(to, "PUT /b HTTP/1.1", &[WAV], "LIVETAPE_LIMIT_SOURCES_PER_ADDRESS")?;
    ensure!(figure(&livetape, "sources_per_address")? == 1);
    // A title takes no place of a source.
    let title = "GET /admin/metadata?mode=updinfo&mount=/a&song=x HTTP/1.1";
    ensure!(Push::begin(to, title, &[])?.status()? == 200);
    drop(one);
    wait::until("its place to be free", SOON, || {
        (Push::begin(to, "SOURCE /b HTTP/1.0", &[WAV]).ok()?.status().ok()? == 200).then_some(())
    })?;
    livetape.stop()
}

#[test]
fn so_many_connections_and_sources_of_all() -> Result<()> {
    let (livetape, _data) = strict(&["--limit-sources", "1", "--limit-source-head-time", "500ms"])?;
    let to = livetape.sources();
    let mut one = Push::begin(to, "SOURCE /a HTTP/1.0", &[WAV])?;
    ensure!(one.status()? == 200);
    let (status, head) = Push::begin(to, "PUT /b HTTP/1.1", &[WAV])?.answer()?;
    ensure!(status == 503 && head.contains("Retry-After: ") && figure(&livetape, "sources")? == 1, "{head}");
    drop(one);
    // Who takes too long, and who says too much.
    let slow = std::net::TcpStream::connect(to)?;
    let (status, _) =
        Push::begin_on(slow, to, "PUT /c HTTP/1.1", &[&format!("X: {}", "x".repeat(50_000))])?.answer()?;
    ensure!(status == 431 && figure(&livetape, "source_head_size")? == 1, "{status}");
    let _silent = std::net::TcpStream::connect(to)?;
    wait::until("a silent one to be counted", SOON, || {
        (figure(&livetape, "source_head_time").ok()? == 1).then_some(())
    })?;
    livetape.stop()
}

#[test]
fn a_source_that_went_has_its_place_until_all_is_delivered() -> Result<()> {
    let data = tempfile::tempdir()?;
    let recorder = Start::recorder(data.path()).spawn()?;
    let intake = Start::intake(recorder.grpc()).args(["--limit-sources", "1"]).spawn()?;
    let begin = |stream: &str| Push::begin(intake.sources(), &format!("SOURCE /{stream} HTTP/1.0"), &[WAV]);
    let mut one = begin("a")?;
    ensure!(one.status()? == 200);
    let figures = |name: &str| -> Option<String> {
        let text = http::get(intake.ops(), "/metrics").send().ok()?.body().ok()?;
        let text = String::from_utf8(text).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned))
    };
    one.send(&counting_wav(48_000, 4_800)?)?;
    wait::until("a session", SOON, || figures("livetape_capture_connected{stream=\"a\"} 1"))?;
    recorder.hold()?;
    one.send(&vec![0; SECOND])?;
    wait::until("audio that waits", SOON, || {
        let waiting: f64 = figures("livetape_capture_waiting_frames{stream=\"a\"} ")?.parse().ok()?;
        (waiting > 0.0).then_some(())
    })?;
    drop(one);
    // Longer than a session without a sender lasts once all is delivered.
    for _ in 0..15 {
        let (status, head) = begin("b")?.answer()?;
        ensure!(status == 503 && head.contains("Retry-After: "), "{head}");
        std::thread::sleep(Duration::from_millis(100));
    }
    recorder.go_on()?;
    wait::until("the place to be free", SOON, || (begin("b").ok()?.status().ok()? == 200).then_some(()))?;
    intake.stop()?;
    recorder.stop()
}

#[test]
fn a_form_is_read_for_who_may_set_titles() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let hash = hash_password(&Secret::new("password of dj"))?;
    let user = format!("[[user]]\nname = \"dj\"\npassword = \"{hash}\"\ngrants = [\"publish:a\"]\n");
    std::fs::write(dir.path().join("access.toml"), user)?;
    let access = dir.path().join("access.toml");
    let access = access.to_str().context("a plain path")?;
    let (livetape, _data) = strict(&["--access", access, "--anonymous", "watch", "--limit-source-head-time", "1s"])?;
    let (to, post) = (livetape.sources(), "POST /admin/metadata HTTP/1.1");
    // In base64, "dj:password of dj".
    let right = "Authorization: Basic ZGo6cGFzc3dvcmQgb2YgZGo=";
    let form = "mode=updinfo&mount=/b&song=x";
    let length = format!("Content-Length: {}", form.len());
    let asks = |fields: &[&str], body: &str| -> Result<u16> {
        let mut push = Push::begin(to, post, fields)?;
        push.send(body.as_bytes())?;
        push.status()
    };
    // One that never comes, and one that is too long: who may not is told so at once.
    ensure!(asks(&["Content-Length: 40000"], "m")? == 401, "nobody");
    ensure!(asks(&["Content-Length: 50000"], "m")? == 401);
    ensure!(figure(&livetape, "source_head_time")? == 0, "nobody waited for it");
    ensure!(asks(&["Content-Length: 40000", right], "m")? == 408);
    ensure!(asks(&["Content-Length: 50000", right], "m")? == 413);
    ensure!(figure(&livetape, "source_head_time")? == 1 && figure(&livetape, "source_head_size")? == 1);
    ensure!(asks(&[&length, right], form)? == 403, "another stream");
    ensure!(asks(&[&length, right], &form.replace("/b", "/a"))? == 404, "nobody sends into it");
    livetape.stop()
}

#[test]
fn requests_are_counted_for_the_client_that_a_proxy_names() -> Result<()> {
    let (livetape, _data) =
        strict(&["--trusted-proxies", "127.0.0.1", "--limit-source-rate-per-address", "1", "--access", "/dev/null"])?;
    let to = livetape.sources();
    let ask = "GET /admin/metadata?mode=updinfo&mount=/a&song=x HTTP/1.1";
    let by = |client: &str| format!("X-Forwarded-For: 203.0.113.9, {client}");
    for _ in 0..10 {
        ensure!(Push::begin(to, ask, &[&by("192.0.2.1")])?.status()? == 401);
    }
    too_much(to, ask, &[&by("192.0.2.1")], "LIVETAPE_LIMIT_SOURCE_RATE_PER_ADDRESS")?;
    ensure!(Push::begin(to, ask, &[&by("192.0.2.2")])?.status()? == 401, "another client");
    livetape.stop()
}

#[test]
fn who_pushed_stands_on_the_timeline() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let user = |name: &str| -> Result<String> {
        let hash = hash_password(&Secret::new(format!("password of {name}")))?;
        Ok(format!("[[user]]\nname = \"{name}\"\npassword = \"{hash}\"\ngrants = [\"publish:*\"]\n"))
    };
    std::fs::write(dir.path().join("access.toml"), user("dj")? + &user("ann")?)?;
    let access = dir.path().join("access.toml").into_os_string();
    let livetape = Start::new(dir.path().join("data"))
        .source("none")
        .args(["--access".into(), access, "--anonymous".into(), "listen".into()])
        .spawn()?;
    let file = counting_wav(48_000, 480_000)?;
    // In base64, "dj:password of dj" and "ann:password of ann".
    let people =
        [("SOURCE /a HTTP/1.0", "ZGo6cGFzc3dvcmQgb2YgZGo="), ("PUT /a HTTP/1.1", "YW5uOnBhc3N3b3JkIG9mIGFubg==")];
    for ((line, basic), name) in people.into_iter().zip(["dj", "ann"]) {
        let chunked = if line.starts_with("PUT") { "Expect: 100-continue" } else { "X: y" };
        let right = format!("Authorization: Basic {basic}");
        // The one before may not be gone yet.
        let mut push = wait::until("a place", SOON, || {
            let mut push = Push::begin(livetape.sources(), line, &[WAV, &right, chunked]).ok()?;
            [100, 200].contains(&push.status().ok()?).then_some(push)
        })?;
        push.send(&file[..SECOND / 2])?;
        let said = format!("published by {name} (password) at 127.0.0.1");
        wait::until(&said, SOON, || {
            // What is captured goes on, so that there is something to acknowledge.
            push.send(&file[SECOND / 2..SECOND / 2 + 19_200]).ok()?;
            let all = livetape_tests::pushes::recordings(livetape.http(), "a").ok()?;
            let told = |id: &str| http::json(livetape.http(), &format!("/recordings/{id}/timeline")).ok();
            let timelines: Vec<_> = all.iter().filter_map(|one| told(one["id"].as_str()?)).collect();
            timelines.iter().any(|timeline| timeline.to_string().contains(&said)).then_some(())
        })?;
    }
    let log = livetape.log();
    let logged = |name: &str| {
        log.lines().any(|l| {
            l.contains("livetape::audit") && l.contains(name) && l.contains("published") && l.contains("127.0.0.1")
        })
    };
    ensure!(logged("dj") && logged("ann"), "{log}");
    livetape.stop()
}
