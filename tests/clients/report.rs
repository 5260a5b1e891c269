//! What each player did: what of it is wrong, and the tables of it in docs/players.md.

use crate::deed::Deed;
use crate::lengths::{FORMS, Form};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Something that is known not to work with a player.
#[derive(Debug)]
pub(crate) struct Excuse {
    pub(crate) deed: Deed,
    /// How it fails: a part of what is said then. Anything else that goes wrong is not excused.
    pub(crate) how: &'static str,
    /// The reason that the table gives.
    pub(crate) why: &'static str,
}

pub(crate) type Excuses = &'static [Excuse];

/// What one player did.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    excuses: Excuses,
    deeds: BTreeMap<Deed, Result<()>>,
    /// What it made of each way to tell a length.
    lengths: BTreeMap<Form, String>,
}

impl Report {
    pub(crate) fn new(name: &'static str, version: String, excuses: Excuses) -> Self {
        Self { name, version, excuses, deeds: BTreeMap::new(), lengths: BTreeMap::new() }
    }

    /// Notes how it did.
    pub(crate) fn tried(&mut self, deed: Deed, how: Result<()>) {
        let said = how.as_ref().map_or_else(|e| format!("{e:#}"), |()| "yes".into());
        eprintln!("{:12} {:14} {said}", self.name, format!("{deed:?}"));
        self.deeds.insert(deed, how);
    }

    /// Notes what it made of a length.
    pub(crate) fn made_of(&mut self, form: Form, what: String) {
        eprintln!("{:12} {form:14?} {what}", self.name);
        self.lengths.insert(form, what);
    }

    fn excuse(&self, deed: Deed) -> Option<&'static Excuse> {
        self.excuses.iter().find(|excuse| excuse.deed == deed)
    }

    /// What did not work and should have, did not work in another way than is known, or works although it is known not to.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let wrong = |(deed, how): (&Deed, &Result<()>)| {
            let what = match (how, self.excuse(*deed)) {
                (Ok(()), None) => return None,
                (Ok(()), Some(excuse)) => format!("works now; take out the excuse {:?}", excuse.why),
                (Err(error), Some(excuse)) if format!("{error:#}").contains(excuse.how) => return None,
                (Err(error), Some(excuse)) => format!("not the known {:?}, but {error:#}", excuse.how),
                (Err(error), None) => format!("{error:#}"),
            };
            Some(format!("{} {}: {deed:?}: {what}", self.name, self.version))
        };
        self.deeds.iter().filter_map(wrong).collect()
    }
}

/// The head of a table: one column for each player.
fn head(reports: &[Report]) -> Result<String> {
    let mut text = String::from("| |");
    for report in reports {
        write!(text, " {} {} |", report.name, report.version)?;
    }
    writeln!(text, "\n|---|{}", "---|".repeat(reports.len()))?;
    Ok(text)
}

/// The tables, and what their notes say.
fn tables(reports: &[Report]) -> Result<String> {
    let mut notes: Vec<&str> = Vec::new();
    let mut text = head(reports)?;
    for deed in Deed::ALL.into_iter().chain([Deed::LAST]) {
        write!(text, "| {deed} |")?;
        for report in reports {
            match (report.deeds.get(&deed), report.excuse(deed)) {
                (None, _) => text.push_str(" – |"),
                (Some(Ok(())), _) => text.push_str(" yes |"),
                (Some(Err(_)), excuse) => {
                    let why = excuse.map_or("not as it should be", |excuse| excuse.why);
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
    writeln!(text, "\n{}", crate::lengths::ABOUT)?;
    text.push_str(&head(reports)?);
    for form in FORMS {
        write!(text, "| {form} |")?;
        for report in reports {
            write!(text, " {} |", report.lengths.get(&form).map_or("–", String::as_str))?;
        }
        text.push('\n');
    }
    Ok(text)
}

const BEGIN: &str = "<!-- written by `make clients` -->\n\n";
const END: &str = "\n<!-- end -->";

/// What has become of docs/players.md.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Same,
    /// The same was seen with other versions.
    OtherVersions,
    /// Something else was seen: these lines are new.
    Other(Vec<String>),
}

/// Puts the tables into their place in `docs/players.md`.
pub(crate) fn write(path: &Path, reports: &[Report]) -> Result<Page> {
    let old = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let (new, page) = with(&old, &tables(reports)?)?;
    if page != Page::Same {
        std::fs::write(path, new)?;
    }
    Ok(page)
}

/// The page with these tables, and what is another thing then.
fn with(old: &str, tables: &str) -> Result<(String, Page)> {
    let (head, rest) = old.split_once(BEGIN).context("no place for the tables")?;
    let (before, tail) = rest.split_once(END).context("no end of the tables")?;
    let new = format!("{head}{BEGIN}{tables}{END}{tail}");
    ensure!(new.len() < 100_000, "tables of {} bytes", new.len());
    // The heads, which have the versions, begin with an empty cell.
    let seen = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with("| |")).map(str::to_owned).collect()
    };
    let (was, is) = (seen(before), seen(tables));
    let page = match (new == old, was == is) {
        (true, _) => Page::Same,
        (false, true) => Page::OtherVersions,
        (false, false) => Page::Other(is.into_iter().filter(|line| !was.contains(line)).collect()),
    };
    Ok((new, page))
}

/// Looks whether what stands above is so: this target has no tests of its own, so `main` runs it first.
pub(crate) fn check() -> Result<()> {
    let excuses: Excuses = &[Excuse { deed: Deed::Far, how: "it ended", why: "so it is" }];
    let wrong = |deed, how: Result<()>| {
        let deeds = BTreeMap::from([(deed, how)]);
        Report { deeds, ..Report::new("a player", "1".into(), excuses) }.wrong().concat()
    };
    ensure!(wrong(Deed::Far, Err(anyhow::anyhow!("it ended with 1").context("after a seek"))).is_empty());
    ensure!(wrong(Deed::Far, Err(anyhow::anyhow!("second 3: not within 45s"))).contains("not the known"));
    ensure!(wrong(Deed::Far, Ok(())).contains("works now"));
    ensure!(wrong(Deed::Part, Ok(())).is_empty() && wrong(Deed::Part, Err(anyhow::anyhow!("so"))).contains("Part: so"));
    let page = format!("text\n{BEGIN}| | P 1 |\n| a | yes |\n{END}\nmore\n");
    let becomes = |tables| with(&page, tables).map(|(_, page)| page);
    ensure!(becomes("| | P 1 |\n| a | yes |\n")? == Page::Same);
    ensure!(becomes("| | P 2 |\n| a | yes |\n")? == Page::OtherVersions);
    ensure!(becomes("| | P 1 |\n| a | no |\n")? == Page::Other(vec!["| a | no |".into()]));
    Ok(())
}
