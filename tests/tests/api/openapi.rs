//! What the gateway says of itself at `/openapi.json`: schemathesis asks it whatever that allows, and much that it does not, and
//! every answer has to be one that is described. And the page that shows it, in Chromium.

use anyhow::{Result, ensure};
use livetape_access::{TokenHash, mint_token};
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::webdriver::Browser;
use livetape_testkit::{spawn, wait};
use livetape_tests::growing::SOON;
use livetape_tests::tools::{project, schemathesis};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// Requests of random content for each operation; `make torture` asks more.
fn cases() -> String {
    std::env::var("LIVETAPE_CASES").unwrap_or_else(|_| "6".into())
}

const SOURCES: [&str; 8] = ["--stream", "studio-a", "--source", "counting", "--stream", "studio-b", "--source", "tone"];

#[test]
fn every_answer_is_described() -> Result<()> {
    let data = tempfile::tempdir()?;
    let livetape = Start::new(data.path().join("data")).args(SOURCES).spawn()?;
    asked(livetape, data.path(), cases(), "")
}

#[test]
fn every_refusal_is_described() -> Result<()> {
    let data = tempfile::tempdir()?;
    let (all, listens, wrong) = (mint_token()?, mint_token()?, mint_token()?);
    let entry = |name: &str, token, grants: &str| {
        let hash = TokenHash::of(token);
        format!("[[token]]\nname = \"{name}\"\nsha256 = \"{hash}\"\ngrants = [\"{grants}\"]\n")
    };
    let access = data.path().join("access.toml");
    std::fs::write(
        &access,
        entry("all", &all, "publish,listen,export,manage:*") + &entry("ear", &listens, "listen:*"),
    )?;
    let little = ["--unlimited", "none", "--limit-request-rate-per-address", "20", "--anonymous", "watch"];
    let access = ["--access".into(), access.into_os_string()];
    let livetape = Start::new(data.path().join("data")).args(SOURCES).args(little).args(access).spawn()?;
    let tokens = [&all, &listens, &wrong].map(|token| token.reveal()).join(" ");
    let cases = cases().parse::<u64>()?.div_ceil(5).to_string();
    asked(livetape, data.path(), cases, &tokens)
}

fn asked(livetape: Livetape, folder: &Path, cases: String, tokens: &str) -> Result<()> {
    let mut ask = schemathesis()?;
    ask.args(["-m", "pytest", "-q", "--tb=short", "--no-header", "-p", "no:cacheprovider"]);
    ask.arg(project().join("tests/python/openapi.py")).current_dir(folder);
    ask.env("PYTHONDONTWRITEBYTECODE", "1").env("LIVETAPE_URL", livetape.url("")).env("LIVETAPE_CASES", cases);
    ask.env("LIVETAPE_TOKENS", tokens);
    if !tokens.is_empty() {
        // What is about contents is asked of a gateway that is open.
        ask.args(["-k", "every_answer or told_so"]);
    }
    let asked = spawn::run(ask, Duration::from_secs(3_600))?;
    ensure!(asked.code == Some(0), "{}\n{}", asked.text(), asked.stderr);
    println!("{}", asked.text());
    let log = livetape.log();
    ensure!(!log.contains("panicked"), "{log}");
    livetape.stop()
}

#[test]
fn the_page_shows_every_operation() -> Result<()> {
    let data = tempfile::tempdir()?;
    let livetape = Start::new(data.path()).spawn()?;
    let browser = Browser::start()?;
    browser.open(&livetape.url("/openapi"))?;
    let shown = "return document.getElementById('status').textContent";
    wait::until("the description on the page", SOON, || {
        browser.run(shown, json!([])).ok()?.as_str()?.contains("OpenAPI 3.1").then_some(())
    })?;
    // What is in the document, asked by the page itself.
    let counted = browser.run(
        "const whole = JSON.parse(await (await fetch('/openapi.json')).text());
         const methods = ['get', 'head', 'post', 'put', 'patch', 'delete', 'options'];
         const all = Object.values(whole.paths).flatMap((item) => methods.filter((method) => item[method]));
         return [all.length, document.querySelectorAll('.operation').length,
                 Object.keys(whole.components.schemas).length, document.querySelectorAll('.schema').length];",
        json!([]),
    )?;
    let numbers: Vec<u64> = serde_json::from_value(counted)?;
    assert!(numbers[0] > 60 && numbers[0] == numbers[1] && numbers[2] == numbers[3], "{numbers:?}");
    let visible = |word: &str| {
        let script = "const filter = document.getElementById('filter'); filter.value = arguments[0];
                      filter.dispatchEvent(new Event('input'));
                      return [...document.querySelectorAll('.operation')].filter((one) => !one.hidden).length";
        browser.run(script, json!([word]))
    };
    assert_eq!(visible("patch /recordings/{id}")?, json!(1));
    assert_eq!(visible("")?, json!(numbers[0]));
    let console = browser.console()?;
    assert!(!console.iter().any(|line| line.contains("SEVERE")), "{console:?}");
    livetape.stop()
}
