//! A real Prometheus over real roles, with the rules of `deploy/prometheus`.

use crate::tools::project;
use anyhow::{Context, Result};
use livetape_testkit::{http, spawn, wait};
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::process::Child;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// A Prometheus that reads some addresses every second.
#[derive(Debug)]
pub struct Prometheus {
    addr: SocketAddr,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts it, with the project's rules.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn start(targets: &[(&str, SocketAddr)]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let rules = project().join("deploy/prometheus/livetape.rules.yml");
        // As compose has it: a name for each, and a port that is always the same.
        let targets = targets.iter().map(|(role, addr)| {
            format!("{{targets: [\"{addr}\"], labels: {{role: {role}, instance: \"{role}:9464\"}}}}")
        });
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{rules:?}]\nscrape_configs:\n\
             - job_name: livetape\n  static_configs: [{}]\n",
            targets.collect::<Vec<_>>().join(", ")
        );
        std::fs::write(folder.path().join("prometheus.yml"), config)?;
        let mut prometheus = spawn::command("prometheus");
        prometheus.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=error"]);
        prometheus.arg(format!("--web.listen-address={addr}")).current_dir(folder.path());
        let child = spawn::spawn(prometheus)?;
        let prometheus = Self { addr, child, _folder: folder };
        wait::until("Prometheus", SOON, || http::json(addr, "/api/v1/rules").ok())?;
        Ok(prometheus)
    }

    /// Where it answers.
    pub const fn address(&self) -> SocketAddr {
        self.addr
    }

    /// The same as [`Prometheus::ask`] once there is something: a rate needs two samples.
    ///
    /// # Errors
    /// When there is nothing in time.
    pub fn soon(&self, expr: &str) -> Result<Vec<Value>> {
        wait::until(&format!("something for {expr}"), SOON, || match self.ask(expr) {
            Ok(series) if series.is_empty() => None,
            answer => Some(answer),
        })?
    }

    /// The series that an expression gives, with their labels.
    ///
    /// # Errors
    /// When it is no expression.
    pub fn ask(&self, expr: &str) -> Result<Vec<Value>> {
        let escaped: String = expr.bytes().map(|b| format!("%{b:02x}")).collect();
        let answer = http::json(self.addr, &format!("/api/v1/query?query={escaped}")).context(expr.to_owned())?;
        Ok(answer["data"]["result"].as_array().context("a result")?.iter().map(|one| one["metric"].clone()).collect())
    }
}
