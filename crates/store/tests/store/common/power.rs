//! A disk that remembers what was synced. Cutting its power leaves of everything else the old, the new, or rubbish,
//! piece by piece and in any order. Operations can be made to fail: once, or all from one on, as if the process had died.

use livetape_store::{Faults, Op};
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Which operations fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plan {
    #[default]
    None,
    /// The one after so many others, with this error number.
    Once(u64, i32),
    /// That one and all that follow.
    Dead(u64),
}

pub const ENOSPC: i32 = 28;
pub const EIO: i32 = 5;

#[derive(Default)]
struct State {
    /// By inode: the content at its last sync. The open file keeps the inode from being given to another.
    synced: HashMap<u64, (File, Vec<u8>)>,
    /// Names at the last sync of their folder.
    names: HashMap<PathBuf, u64>,
    plan: Plan,
    done: u64,
    failed: Option<Op>,
}

#[derive(Default)]
pub struct Power(Mutex<State>);

impl Faults for Power {
    fn check(&self, op: Op, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let n = state.done;
        state.done += 1;
        let errno = match state.plan {
            Plan::Once(at, errno) if n == at => Some(errno),
            Plan::Dead(at) if n >= at => Some(EIO),
            _ => None,
        };
        if let Some(errno) = errno {
            state.failed.get_or_insert(op);
            return Err(io::Error::from_raw_os_error(errno));
        }
        if op == Op::Sync {
            state.synced(path);
        }
        Ok(())
    }
}

fn inode(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|m| m.ino())
}

impl State {
    fn synced(&mut self, path: &Path) {
        if path.is_dir() {
            self.names.retain(|name, _| name.parent() != Some(path));
            for file in files(path) {
                let ino = inode(&file).unwrap();
                self.synced.entry(ino).or_insert_with(|| (File::open(&file).unwrap(), Vec::new()));
                self.names.insert(file, ino);
            }
        } else {
            let entry = (File::open(path).unwrap(), fs::read(path).unwrap());
            self.synced.insert(inode(path).unwrap(), entry);
        }
    }

    fn content(&self, ino: u64) -> &[u8] {
        self.synced.get(&ino).map_or(&[], |(_, content)| content)
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|e| e.unwrap().path()).filter(|p| p.is_file()).collect()
}

impl Power {
    /// Counts from here on.
    pub fn plan(&self, plan: Plan) {
        let mut state = self.0.lock().unwrap();
        (state.plan, state.done, state.failed) = (plan, 0, None);
    }

    /// Operations since the last plan was made.
    pub fn operations(&self) -> u64 {
        self.0.lock().unwrap().done
    }

    /// The first operation that was made to fail.
    pub fn failed(&self) -> Option<Op> {
        self.0.lock().unwrap().failed
    }

    /// Cuts the power: the files of `folder` become what may be found there afterwards.
    pub fn cut(&self, folder: &Path, seed: u64) {
        let mut random = Random(seed | 1);
        let mut state = self.0.lock().unwrap();
        let durable: HashMap<PathBuf, u64> = state
            .names
            .iter()
            .filter(|(path, _)| path.parent() == Some(folder))
            .map(|(p, i)| (p.clone(), *i))
            .collect();
        let names: BTreeSet<PathBuf> = files(folder).into_iter().chain(durable.keys().cloned()).collect();
        let mut found = Vec::new();
        for name in names {
            let old = durable.get(&name).copied();
            let new = inode(&name).map(|ino| (ino, fs::read(&name).unwrap()));
            let survives = match (old, new) {
                (Some(old), Some((new, now))) if old == new => Some(random.mix(state.content(old), &now)),
                (Some(old), _) if random.coin() => Some(state.content(old).to_vec()),
                (_, Some((new, now))) if old.is_some() || random.coin() => Some(random.mix(state.content(new), &now)),
                _ => None,
            };
            found.extend(survives.map(|content| (name, content)));
        }
        for file in files(folder) {
            fs::remove_file(file).unwrap();
        }
        for (name, content) in found {
            fs::write(&name, content).unwrap();
            state.synced(&name);
        }
        if folder.is_dir() {
            state.synced(folder);
        }
    }
}

/// A small generator, so that a seed means the same run again.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) ^ (self.0 >> 7 & 0xFF)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// What a power cut may leave of a file that was `old` when it was synced and has become `new`.
    fn mix(&mut self, old: &[u8], new: &[u8]) -> Vec<u8> {
        if old == new {
            return new.to_vec();
        }
        let (short, long) = (old.len().min(new.len()), old.len().max(new.len()));
        let len = match self.below(3) {
            0 => old.len(),
            1 => new.len(),
            _ => short + self.below((long - short + 1) as u64) as usize,
        };
        let piece = [1, 16, 512][self.below(3) as usize];
        let mut found = vec![0; len];
        for at in (0..len).step_by(piece) {
            let choice = self.below(8);
            for (i, byte) in found.iter_mut().enumerate().skip(at).take(piece) {
                let (was, is) = (old.get(i).copied(), new.get(i).copied());
                *byte = match choice {
                    _ if was == is => is.unwrap_or(0),
                    0..=2 => was.unwrap_or(0),
                    3 => self.next() as u8,
                    _ => is.unwrap_or(0),
                };
            }
        }
        found
    }
}
