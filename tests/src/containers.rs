//! The containers of manifests and compose files as processes of this machine: started with the arguments, the environment and the files
//! that each gets there. What is different: ports are free ones, folders lie in one that is temporary, and other services are found
//! where they are here.

use crate::tools::{project, yaml};
use anyhow::{Context, Result};
use livetape_testkit::process::Start;
use livetape_testkit::redis::RedisServer;
use livetape_testkit::spawn;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// What one container is started with.
#[derive(Clone, Debug)]
pub struct Container {
    /// `Deployment gateway`, or a service of compose.
    pub name: String,
    /// The role first.
    pub args: Vec<String>,
    /// All that it finds in its environment.
    pub env: BTreeMap<String, String>,
    /// Where each folder is, by where the container sees it.
    folders: BTreeMap<String, PathBuf>,
}

/// Where the others are.
#[derive(Debug)]
pub struct Neighbours<'a> {
    /// Redis.
    pub redis: &'a RedisServer,
    /// The recorder, once it runs.
    pub recorder: Option<SocketAddr>,
}

/// The containers of an overlay of `deploy/k8s/overlays`, in this folder; in it are already the secrets that docs/kubernetes.md makes.
///
/// # Errors
/// When it cannot be rendered, or names what is not there.
pub fn of_overlay(name: &str, folder: &Path) -> Result<Vec<Container>> {
    let mut render = spawn::command("kubectl");
    render.arg("kustomize").arg(project().join("deploy/k8s/overlays").join(name));
    let rendered = folder.join("rendered.yaml");
    std::fs::write(&rendered, spawn::run(render, SOON)?.ok()?.stdout)?;
    all(folder, [OsStr::new("kubernetes"), rendered.as_os_str()])
}

/// The containers of these compose files, with the settings of `.env.example` and then these lines, in this folder.
///
/// # Errors
/// When they are none.
pub fn of_compose(files: &[&str], settings: &str, folder: &Path) -> Result<Vec<Container>> {
    let example = std::fs::read_to_string(project().join(".env.example"))?;
    let env = folder.join("env");
    std::fs::write(&env, format!("{example}\n{settings}\n"))?;
    let files: Vec<_> = files.iter().map(|file| project().join(file)).collect();
    let files = files.iter().map(|file| file.as_os_str());
    all(folder, [OsStr::new("compose"), env.as_os_str()].into_iter().chain(files))
}

fn all<'a>(folder: &Path, args: impl IntoIterator<Item = &'a OsStr>) -> Result<Vec<Container>> {
    let mut tell = yaml()?;
    tell.arg(project().join("scripts/containers.py")).args(args).env("PYTHONDONTWRITEBYTECODE", "1");
    let told: Value = serde_json::from_str(&spawn::run(tell, SOON)?.ok()?.text())?;
    told.as_array().context("a list")?.iter().map(|one| Container::of(one, folder)).collect()
}

/// The entries of an object.
fn entries<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    of[key].as_object().into_iter().flatten()
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().with_context(|| format!("{value} is no text"))?.to_owned())
}

impl Container {
    fn of(told: &Value, folder: &Path) -> Result<Self> {
        let volumes = folder.join("volumes");
        let place = |name: &str| volumes.join(name.trim_start_matches("./"));
        let folders = entries(told, "mounts").map(|(at, volume)| Ok((at.clone(), place(&text(volume)?))));
        let container = Self {
            name: text(&told["name"])?,
            args: told["args"].as_array().into_iter().flatten().map(text).collect::<Result<_>>()?,
            env: entries(told, "env").map(|(name, value)| Ok((name.clone(), text(value)?))).collect::<Result<_>>()?,
            folders: folders.collect::<Result<_>>()?,
        };
        for folder in container.folders.values() {
            std::fs::create_dir_all(folder)?;
        }
        for (at, content) in entries(told, "files") {
            let file = container.path(at).with_context(|| format!("{at} is in no volume"))?;
            match &content["made"] {
                Value::Null => std::fs::write(file, text(&content["text"])?)?,
                made => drop(std::fs::copy(folder.join(text(made)?), file).with_context(|| made.to_string())?),
            }
        }
        Ok(container)
    }

    /// Where a path of the container's is here, if it lies in one of its volumes.
    pub fn path(&self, path: &str) -> Option<PathBuf> {
        let inside = |at: &str| Some(path.strip_prefix(at)?).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        // The innermost volume comes last.
        let (place, rest) = self.folders.iter().rev().find_map(|(at, place)| Some((place, inside(at)?)))?;
        Some(place.join(rest.trim_start_matches('/')))
    }

    /// With the word `instead` for each argument that is `word`.
    #[must_use]
    pub fn with(mut self, word: &str, instead: &str) -> Self {
        self.args.iter_mut().filter(|arg| arg.as_str() == word).for_each(|arg| instead.clone_into(arg));
        self
    }

    /// How it is started here.
    ///
    /// # Errors
    /// When it is no role, or one of its addresses is none.
    pub fn start(&self, neighbours: &Neighbours<'_>) -> Result<Start> {
        let here = |(name, value): (&String, &String)| {
            let scheme = value.split_once("://").map(|(scheme, _)| scheme);
            let value = match (name.as_str(), scheme, neighbours.recorder) {
                ("LIVETAPE_RECORDER_URL", Some(scheme), Some(to)) => format!("{scheme}://localhost:{}", to.port()),
                ("LIVETAPE_REDIS_URL", Some(_), _) => neighbours.redis.url(),
                _ => self.path(value).map_or_else(|| value.clone(), |path| path.display().to_string()),
            };
            (name.clone(), value)
        };
        Start::container(&self.args, &self.env.iter().map(here).collect()).with_context(|| self.name.clone())
    }
}
