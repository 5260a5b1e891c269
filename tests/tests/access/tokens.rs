//! `livetape token`: what it makes is let in, and no secret stands in arguments or in what it says about files.

use anyhow::{Context, Result};
use livetape_testkit::process::command;
use livetape_testkit::spawn::{self, Finished};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// Runs `livetape token ARGS` in a folder, with a text on its standard input.
fn token(folder: &Path, args: &[&str], input: &str) -> Result<Finished> {
    fs::write(folder.join("stdin"), input)?;
    let mut command = command(["token"])?;
    command.args(args).current_dir(folder).stdin(Stdio::from(fs::File::open(folder.join("stdin"))?));
    spawn::run(command, Duration::from_secs(60))
}

#[test]
fn what_is_made_is_let_in() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let run = |args: &[&str], input: &str| token(dir.path(), args, input);
    let check = |input: &str, more: &[&str]| run(&[&["check", "--access", "access.toml"], more].concat(), input);

    let new = run(&["new", "--name", "studio", "--grant", "publish:studio-*", "--out", "studio.token"], "")?.ok()?;
    let secret = fs::read_to_string(dir.path().join("studio.token"))?;
    assert_eq!(fs::metadata(dir.path().join("studio.token"))?.permissions().mode() & 0o777, 0o600);
    assert!(!new.text().contains(secret.trim()), "the entry has only its hash");
    let user = run(&["password", "--name", "dj", "--grant", "publish:live", "--for", "1h"], "hunter22\n")?.ok()?;
    assert!(!user.text().contains("hunter22") && user.text().contains("until = "));
    run(&["key", "--out", "url.key"], "")?.ok()?;
    run(&["key", "--algorithm", "EdDSA", "--out", "jwt.key"], "")?.ok()?;
    let files = "[[url_key]]\nid = \"u\"\nfile = \"url.key\"\ngrants = [\"listen:*\"]\n\
                 [jwt]\nkey = [{ algorithm = \"EdDSA\", file = \"jwt.key.pub\" }]\n";
    fs::write(dir.path().join("access.toml"), format!("{}{}{files}", new.text(), user.text()))?;

    let said = check(&secret, &[])?.ok()?.text();
    assert_eq!(said, "token \"studio\": publish:studio-*\n");
    assert!(check("hunter22", &["--user", "dj"])?.ok()?.text().starts_with("password \"dj\": publish:live, until 20"));
    let wrong = check("hunter23", &["--user", "dj"])?;
    assert!(wrong.code != Some(0) && wrong.stderr.contains("do not fit"), "{}", wrong.stderr);

    let jwt = ["jwt", "--key", "jwt.key", "--algorithm", "EdDSA", "--subject", "ann", "--grant", "listen:a"];
    let jwt = run(&[&jwt[..], &["--for", "1h"]].concat(), "")?.ok()?.text();
    assert!(check(&jwt, &[])?.ok()?.text().starts_with("jwt \"ann\": listen:a, until 20"));
    assert!(check(&jwt.replace("ey", "eY"), &[])?.code != Some(0));

    let address = "http://radio.example/streams/live/live.wav?burst=3";
    let url = ["url", "--key", "url.key", "--key-id", "u", "--for", "1h", address];
    let url = run(&url, "")?.ok()?.text();
    assert!(url.starts_with(&format!("{address}&sign=u.listen.")), "{url}");
    assert!(check(&url, &[])?.ok()?.text().starts_with("url \"u\": listen:*, until 20"));
    let other = check(&url.replace("streams/live", "streams/other"), &[])?;
    assert!(other.code != Some(0) && other.stderr.contains("signature"), "{}", other.stderr);

    let shown = run(&["show", "--access", "access.toml"], "")?.ok()?.text();
    let names: Vec<_> = shown.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(names, ["token \"studio\"", "password \"dj\"", "url \"u\""]);
    Ok(())
}

#[test]
fn what_cannot_be_is_said() -> Result<()> {
    let dir = tempfile::tempdir()?;
    fs::write(dir.path().join("short.key"), "c2hvcnQ")?;
    fs::write(dir.path().join("there"), "")?;
    for (args, input, part) in [
        (&["new", "--name", "x"][..], "", "--grant"),
        (&["new", "--name", "x", "--grant", "hear:a"], "", "hear"),
        (&["new", "--name", "x\"\n", "--grant", "listen:a"], "", "letters"),
        (&["new", "--name", "x", "--grant", "listen:a", "--out", "there"], "", "there"),
        (&["password", "--name", "x", "--grant", "listen:a"], "short", "8 to"),
        (&["password", "--name", "x", "--grant", "listen:a"], "", "empty"),
        (&["url", "--key", "short.key", "--key-id", "k", "--for", "1h", "/x"], "", "32 random bytes"),
        (&["url", "--key", "short.key", "--key-id", "k", "/x"], "", "--until"),
        (
            &["url", "--key", "short.key", "--key-id", "k", "--rights", "manage", "--for", "1h", "/x"],
            "",
            "nothing else",
        ),
        (&["show", "--access", "none.toml"], "", "none.toml"),
    ] {
        let refused = token(dir.path(), args, input)?;
        assert!(
            refused.code.context("an exit code")? != 0 && refused.stderr.contains(part),
            "{args:?}: {}",
            refused.stderr
        );
    }
    Ok(())
}
