//! Derives findings from the facts, each with what to do.
//!
//! Pure. Identifiers, levels and fields are stable: `doctor -o json` prints them.

mod engine;
mod network;
mod resources;
mod tools;

#[cfg(test)]
pub(super) use resources::{at_least, gigabytes};

use serde::Serialize;

use super::facts::MachineFacts;
use super::needs::Needs;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Ok,
    /// It may fail or be slow.
    Warn,
    /// It will not work.
    Fail,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The kind of check, in `snake_case`; stable.
    pub id: &'static str,
    /// What was checked, if there are several: a port, a registry, a file.
    pub subject: Option<String>,
    pub level: Level,
    /// The result, in one line.
    pub what: String,
    /// Why it matters, with the source.
    pub why: Option<String>,
    /// What to do, in words.
    pub fix: Vec<String>,
    /// Commands that do it, some as root. milvusctl never runs them itself.
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

/// Returns all findings, in display order.
///
/// Unknown facts give no finding.
pub fn findings(facts: &MachineFacts, needs: &Needs) -> Vec<Finding> {
    let mut found = Vec::new();
    tools::look(facts, needs, &mut found);
    engine::look(facts, &mut found);
    resources::look(facts, needs, &mut found);
    network::look(facts, needs, &mut found);
    found
}

/// Returns the first version in `text`, without build and pre-release suffixes.
///
/// `v0.33.0-alpha+14e` counts as 0.33.0: such builds have the features of the release.
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
