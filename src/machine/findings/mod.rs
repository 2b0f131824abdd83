//! What follows from the facts: a list of findings, each with what to do.
//!
//! Pure. The identifiers, levels and fields are stable, because `doctor -o json` prints them.

mod engine;
mod network;
mod resources;
mod tools;

#[cfg(test)]
pub(super) use resources::{at_least, gigabytes};

use serde::Serialize;

use super::facts::MachineFacts;
use super::needs::Needs;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Ok,
    /// It may work, or work slowly.
    Warn,
    /// It is not going to work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing it is, in `snake_case`; never changes.
    pub id: &'static str,
    /// Which one, where there are several: a port, a registry, a file.
    pub subject: Option<String>,
    pub level: Level,
    /// What was found, on one line.
    pub what: String,
    /// Why it matters, and where that is known from.
    pub why: Option<String>,
    /// What to do, in words.
    pub fix: Vec<String>,
    /// Commands that do it, which milvusctl never runs by itself; some need root rights.
    pub commands: Vec<String>,
    /// For failures, the exit code: 2 and 3 stop `up` before it creates anything, 1 is `doctor`'s own.
    pub exit: Option<u8>,
}

impl Finding {
    fn new(id: &'static str, level: Level, what: impl Into<String>) -> Self {
        let exit = (level == Level::Fail).then_some(1);
        let (subject, why, fix, commands) = (None, None, Vec::new(), Vec::new());
        Self { id, subject, level, what: what.into(), why, fix, commands, exit }
    }

    fn ok(id: &'static str, what: impl Into<String>) -> Self {
        Self::new(id, Level::Ok, what)
    }

    fn warn(id: &'static str, what: impl Into<String>) -> Self {
        Self::new(id, Level::Warn, what)
    }

    fn fail(id: &'static str, exit: u8, what: impl Into<String>) -> Self {
        Self { exit: Some(exit), ..Self::new(id, Level::Fail, what) }
    }

    fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix.push(fix.into());
        self
    }

    fn command(mut self, command: impl Into<String>) -> Self {
        self.commands.push(command.into());
        self
    }
}

/// Returns everything that was looked at, in the order in which it is shown.
///
/// What could not be learnt gives no finding.
pub fn findings(facts: &MachineFacts, needs: &Needs) -> Vec<Finding> {
    let mut found = Vec::new();
    tools::look(facts, needs, &mut found);
    engine::look(facts, &mut found);
    resources::look(facts, needs, &mut found);
    network::look(facts, needs, &mut found);
    found
}

/// Returns the first version in `text`, without the suffixes of builds and pre-releases.
///
/// `v0.33.0-alpha+14e` counts as 0.33.0: such builds have what the release is going to have.
fn version_in(text: &str) -> Option<semver::Version> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let digits = text[start..].split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    let mut parts = digits.split('.').map(str::parse);
    let (major, minor) = (parts.next()?.ok()?, parts.next()?.ok()?);
    let patch = parts.next().and_then(Result::ok).unwrap_or(0);
    Some(semver::Version::new(major, minor, patch))
}

#[cfg(test)]
mod tests;
