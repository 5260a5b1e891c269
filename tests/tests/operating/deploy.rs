//! Files with which others start the program say what it knows: units, compose files, manifests. And what it tells systemd,
//! over the socket that a service has.

use anyhow::{Context, Result, ensure};
use livetape_testkit::process::{Start, command};
use livetape_testkit::spawn;
use livetape_tests::growing::SOON;
use livetape_tests::tools::project;
use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// Listens as systemd does, and waits for a message.
fn told(socket: &UnixDatagram, message: &str) -> Result<()> {
    let mut others = Vec::new();
    let mut buffer = [0; 4096];
    // Of a watchdog there may be many others.
    while others.len() < 1_000 {
        let n = socket.recv(&mut buffer).with_context(|| format!("{message} after {others:?}"))?;
        let said = String::from_utf8_lossy(&buffer[..n]).into_owned();
        if said.lines().any(|line| line == message) {
            return Ok(());
        }
        others.push(said);
    }
    anyhow::bail!("{message} is not among {others:?}")
}

#[test]
fn ready_alive_stopping() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path)?;
    socket.set_read_timeout(Some(SOON))?;
    let livetape =
        Start::new(folder.path().join("data")).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000").spawn()?;
    told(&socket, "READY=1")?;
    for _ in 0..3 {
        told(&socket, "WATCHDOG=1")?;
    }
    livetape.terminate()?;
    told(&socket, "STOPPING=1")?;
    let mut livetape = livetape;
    ensure!(livetape.wait(SOON)?.success(), "{}", livetape.log());
    Ok(())
}

#[test]
fn units_start_what_there_is() -> Result<()> {
    for (unit, roles) in
        [("livetape.service", &["run"][..]), ("livetape@.service", &["recorder", "gateway", "capture"])]
    {
        let text = std::fs::read_to_string(project().join("deploy/systemd").join(unit))?;
        let start =
            text.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/livetape ")).context("ExecStart")?;
        for role in roles {
            // A flag that does not exist is complained about before the help is shown.
            let args = start.replace("%i", role) + " --help";
            let done = spawn::run(command(args.split(' '))?, SOON)?.ok()?;
            ensure!(done.text().contains("--config"), "{}", done.text());
        }
        ensure!(text.contains("Type=notify\n") && text.contains("WatchdogSec="), "{unit}");
    }
    Ok(())
}

const ROLES: [&str; 4] = ["run", "recorder", "gateway", "capture"];

/// The files of a folder and of those in it that end like this.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files(&path, ending)?),
            false if path.to_string_lossy().ends_with(ending) => found.push(path),
            false => {}
        }
    }
    Ok(found)
}

fn help(role: &str) -> Result<String> {
    Ok(spawn::run(command([role, "--help"])?, SOON)?.ok()?.text())
}

/// `${NAME:-this}` and `${NAME-this}` become this; `$(NAME)`, which Kubernetes fills in, something.
fn without_variables(text: &str) -> String {
    let mut parts = text.split("${");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (variable, rest) = part.split_once('}').unwrap_or((part, ""));
        plain += variable.split_once('-').map_or("", |(_, value)| value);
        plain += rest;
    }
    if plain.starts_with("$(") { "something".to_owned() } else { plain }
}

#[test]
fn variables_and_flags_in_compose_files_and_manifests_are_known() -> Result<()> {
    let mut known = BTreeSet::new();
    for role in ROLES {
        let help = help(role)?;
        known.extend(help.split("[env: ").skip(1).filter_map(|rest| Some(rest.split(['=', ']']).next()?.to_owned())));
    }
    ensure!(known.contains("LIVETAPE_HTTP_ADDR") && known.len() > 15, "{known:?}");
    let mut all = files(&project().join("deploy/k8s"), ".yaml")?;
    all.extend(files(&project().join("deploy/compose"), ".yml")?);
    all.push(project().join("docker-compose.yml"));
    let (mut variables, mut commands) = (0, 0);
    for path in &all {
        let text = std::fs::read_to_string(path)?;
        for line in text.lines().map(str::trim) {
            // `NAME: value` in compose files, `{name: NAME, value: …}` and `- NAME=value` in manifests.
            let key = line.strip_prefix("- {name: ").or_else(|| line.strip_prefix("- ")).unwrap_or(line);
            let key = key.split([':', ',', '=']).next().unwrap_or_default().trim();
            if key.starts_with("LIVETAPE_") && key.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
                ensure!(known.contains(key), "{}: nobody knows {key}", path.display());
                variables += 1;
            }
            let list = line.strip_prefix("command: ").or_else(|| line.strip_prefix("args: "));
            let Some(words) = list.and_then(|list| serde_json::from_str::<Vec<String>>(list).ok()) else { continue };
            if words.first().is_some_and(|role| ROLES.contains(&role.as_str())) {
                let words = words.iter().map(|word| without_variables(word)).chain(["--help".to_owned()]);
                spawn::run(command(words)?, SOON)?.ok().with_context(|| format!("{}: {line}", path.display()))?;
                commands += 1;
            }
        }
    }
    ensure!(variables > 20 && commands > 5, "{variables} variables and {commands} commands were found");
    Ok(())
}
