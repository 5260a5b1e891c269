//! TLS between the roles as processes of their own: each shows a certificate, and may what the access file says of its name. What is renewed
//! counts without a restart, and those who watch speak TLS, too.

use anyhow::{Context, Result, ensure};
use livetape_testkit::certificates::Authority;
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::{http, wait};
use livetape_tests::clients::curl;
use livetape_tests::growing::SOON;
use std::ffi::OsString;
use std::path::Path;

const ACCESS: &str = "[[certificate]]\nname = \"gateway.example\"\ngrants = [\"listen,manage:*\"]\n\
                      [[certificate]]\nname = \"studio.example\"\ngrants = [\"publish:*\"]\n";

/// Writes what `authority` signs for everybody, each file whole.
fn certificates(folder: &Path, authority: &Authority) -> Result<()> {
    let staged = folder.join("staged");
    std::fs::create_dir_all(&staged)?;
    for (name, file) in [("127.0.0.1", "recorder"), ("gateway.example", "gateway"), ("studio.example", "studio")] {
        authority.sign(name)?.write(&staged, file)?;
    }
    std::fs::write(staged.join("ca.pem"), &authority.pem)?;
    for entry in std::fs::read_dir(&staged)? {
        let entry = entry?;
        std::fs::rename(entry.path(), folder.join(entry.file_name()))?;
    }
    Ok(())
}

/// The arguments of somebody who shows a certificate to the recorder.
fn shows(folder: &Path, name: &str) -> Vec<OsString> {
    let path = |file: String| folder.join(file).into_os_string();
    vec![
        "--recorder-ca".into(),
        path("ca.pem".into()),
        "--recorder-cert".into(),
        path(format!("{name}.pem")),
        "--recorder-key".into(),
        path(format!("{name}.key")),
    ]
}

fn frames(gateway: &Livetape) -> Option<u64> {
    let page = http::json(gateway.http(), "/recordings?stream=studio").ok()?;
    page["recordings"].as_array()?.iter().map(|one| one["frames"].as_u64()).sum()
}

#[test]
fn roles_know_each_other_by_certificates_that_are_renewed() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let folder = dir.path();
    certificates(folder, &Authority::new()?)?;
    std::fs::write(folder.join("access.toml"), ACCESS)?;
    let path = |name: &str| folder.join(name).into_os_string();
    let start = Start::recorder(folder.join("data"))
        .args(["--access".into(), path("access.toml"), "--tls-cert".into(), path("recorder.pem")])
        .args(["--tls-key".into(), path("recorder.key"), "--tls-client-ca".into(), path("ca.pem")])
        .args(["--ops-tls", "true"]);
    let recorder = start.spawn()?;
    let url = format!("https://{}", recorder.grpc());
    let capture = Start::capture(recorder.grpc()).recorder_url(&url).args(shows(folder, "studio"));
    let capture = capture.args(["--stream", "studio"]).source("tone").spawn()?;
    let gateway = Start::gateway(recorder.grpc()).recorder_url(&url).args(shows(folder, "gateway"));
    let gateway = gateway.args(["--read", "recorder"]).spawn()?;
    let before = wait::until("audio through all of them", SOON, || frames(&gateway).filter(|n| *n > 48_000))?;

    // A gateway is no source.
    let wrong = Start::capture(recorder.grpc()).recorder_url(&url).args(shows(folder, "gateway"));
    let wrong = wrong.args(["--stream", "other"]).source("tone").spawn()?;
    wrong.logged("refuses this source", SOON)?;
    drop(wrong);

    // Those who watch: over TLS from anywhere, and from here without.
    let ca = folder.join("ca.pem");
    let watched = curl(&format!("https://{}/readyz", recorder.ops()), &["--cacert", ca.to_str().context("plain")?])?;
    ensure!(watched.status == 200, "{}", watched.status);
    ensure!(http::get(recorder.ops(), "/readyz").header("Connection", "close").send()?.status == 200);

    // Everything by another authority from now on. Only the recorder begins anew, so that all have to connect again.
    certificates(folder, &Authority::new()?)?;
    let again = start.clone().on_ports_of(&recorder);
    recorder.stop()?;
    let _recorder = again.spawn()?;
    wait::until("audio by the new certificates", SOON * 2, || frames(&gateway).filter(|n| *n > before + 480_000))?;
    capture.stop()?;
    gateway.stop()
}
