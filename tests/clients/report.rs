//! What each player did, and the table of it in docs/players.md.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// What a person does with a player, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    Live,
    Behind,
    Opens,
    Seeks,
    Beyond,
    Edge,
    Ahead,
    Far,
    Ends,
    Finished,
    Part,
    Page,
    Long,
    NoNoise,
}

impl Deed {
    const ALL: [Self; 14] = [
        Self::Live,
        Self::Behind,
        Self::Opens,
        Self::Seeks,
        Self::Beyond,
        Self::Edge,
        Self::Ahead,
        Self::Far,
        Self::Ends,
        Self::Finished,
        Self::Part,
        Self::Page,
        Self::Long,
        Self::NoNoise,
    ];

    /// As the table names it.
    const fn name(self) -> &'static str {
        match self {
            Self::Live => "`live.wav`: hears what is recorded now",
            Self::Behind => "`live.wav?offset=20`: hears what was recorded 20 s ago, and goes on",
            Self::Opens => "a growing recording: opens, from the start",
            Self::Seeks => "seeks in it, forth and back",
            Self::Beyond => "seeks beyond the length that it had when it was opened",
            Self::Edge => "follows what is recorded meanwhile",
            Self::Ahead => "seeks 3 s ahead of the recording: waits, and plays",
            Self::Far => "seeks an hour ahead of it: another seek brings it back",
            Self::Ends => "ends when the recording does, with its last second",
            Self::Finished => "a finished recording: opens, seeks, ends",
            Self::Part => "`?pos=`: begins there, and follows",
            Self::Page => "the page at `/`: plays live, from the start, and from second 50",
            Self::Long => "past 4 GiB (23,000 s): seeks there, in `audio.rf64` or `audio.wav`",
            Self::NoNoise => "in all this never louder than what was recorded",
        }
    }
}

/// What is known not to work, with the reason that the table gives.
pub(crate) type Excuses = &'static [(Deed, &'static str)];

/// What one player did.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    excuses: Excuses,
    deeds: BTreeMap<Deed, Result<()>>,
}

impl Report {
    pub(crate) fn new(name: &'static str, version: String, excuses: Excuses) -> Self {
        Self { name, version, excuses, deeds: BTreeMap::new() }
    }

    /// Notes how it did.
    pub(crate) fn tried(&mut self, deed: Deed, how: Result<()>) {
        eprintln!("{:12} {deed:9?} {}", self.name, how.as_ref().map_or_else(|e| format!("{e:#}"), |()| "yes".into()));
        self.deeds.insert(deed, how);
    }

    fn excuse(&self, deed: Deed) -> Option<&'static str> {
        self.excuses.iter().find(|(its, _)| *its == deed).map(|(_, why)| *why)
    }

    /// What did not work and should have.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let failed = self.deeds.iter().filter(|(deed, _)| self.excuse(**deed).is_none());
        failed.filter_map(|(deed, how)| Some(format!("{}: {deed:?}: {:#}", self.name, how.as_ref().err()?))).collect()
    }
}

/// The table, and what its notes say.
fn table(reports: &[Report]) -> Result<String> {
    let mut notes: Vec<&str> = Vec::new();
    let mut text = String::from("| |");
    for report in reports {
        write!(text, " {} {} |", report.name, report.version)?;
    }
    writeln!(text, "\n|---|{}", "---|".repeat(reports.len()))?;
    for deed in Deed::ALL {
        write!(text, "| {} |", deed.name())?;
        for report in reports {
            match (report.deeds.get(&deed), report.excuse(deed)) {
                (None, _) => text.push_str(" – |"),
                (Some(Ok(())), _) => text.push_str(" yes |"),
                (Some(Err(_)), why) => {
                    let why = why.unwrap_or("not as it should be");
                    let number = notes.iter().position(|n| *n == why).unwrap_or(notes.len());
                    if number == notes.len() {
                        notes.push(why);
                    }
                    write!(text, " no ({}) |", number + 1)?;
                }
            }
        }
        text.push('\n');
    }
    text.push('\n');
    for (n, note) in (1..).zip(notes) {
        writeln!(text, "{n}. {note}")?;
    }
    Ok(text)
}

const BEGIN: &str = "<!-- written by `make clients` -->\n\n";
const END: &str = "\n<!-- end -->";

/// Puts the table into its place in `docs/players.md`. Gives whether it was another one.
pub(crate) fn write(path: &Path, reports: &[Report]) -> Result<bool> {
    let old = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let (head, rest) = old.split_once(BEGIN).context("no place for the table")?;
    let (_, tail) = rest.split_once(END).context("no end of the table")?;
    let new = format!("{head}{BEGIN}{}{END}{tail}", table(reports)?);
    ensure!(new.len() < 100_000, "a table of {} bytes", new.len());
    if new != old {
        std::fs::write(path, &new)?;
    }
    Ok(new != old)
}
