//! Origins of settings, and problems with them.

use std::fmt;
use std::path::PathBuf;

use super::keys::variable;
use crate::yaml::Position;

/// Where the value of a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The flag of that name: `workers`.
    Flag(&'static str),
    /// The environment variable of that flag.
    Environment(&'static str),
    /// A place in the configuration file.
    File {
        /// The path as given.
        path: PathBuf,
        /// The position, if known.
        place: Option<Position>,
    },
    /// `--small` or `small: true`, which change defaults.
    Small,
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Environment(name) => write!(f, "environment {}", variable(name)),
            Self::File { path, place: Some(at) } => write!(f, "{}:{}", path.display(), at.line),
            Self::File { path, place: None } => write!(f, "{}", path.display()),
            Self::Small => f.write_str("default of a small installation"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value together with where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct WithOrigin<T> {
    pub value: T,
    /// Where it came from.
    pub from: Origin,
}

impl<T> WithOrigin<T> {
    /// Pairs `value` with `from`.
    pub fn new(value: T, from: Origin) -> Self {
        Self { value, from }
    }
}

/// One problem with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Origin of the wrong value.
    pub from: Origin,
    /// The setting's path in the configuration file, such as `cluster.ports[1]`; empty for the whole file.
    pub key: String,
    /// What is wrong and what is expected instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.key.is_empty() { String::new() } else { format!("{}: ", self.key) };
        match &self.from {
            Origin::Flag(name) => write!(f, "--{name}: {}", self.message),
            Origin::Environment(name) => write!(f, "{}: {}", variable(name), self.message),
            Origin::File { path, place } => {
                write!(f, "{}: {key}{}", path.display(), self.message)?;
                place.map_or(Ok(()), |at| write!(f, " ({at})"))
            }
            Origin::Small | Origin::Default => write!(f, "{key}{}", self.message),
        }
    }
}

/// All problems with the settings; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            let end = if number + 1 == self.0.len() { "" } else { "\n" };
            write!(f, "{problem}{end}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_the_file_the_key_and_the_place() {
        let from = Origin::File { path: "m.yaml".into(), place: Some(Position { line: 4, column: 12 }) };
        let problem = Problem { from, key: "cluster.workers".into(), message: "expected a number".into() };
        assert_eq!(problem.to_string(), "m.yaml: cluster.workers: expected a number (line 4, column 12)");
    }

    #[test]
    fn a_problem_names_the_flag_or_the_variable() {
        let problem =
            |from| Problem { from, key: "cluster.workers".into(), message: "too many".into() }.to_string();
        assert_eq!(problem(Origin::Flag("workers")), "--workers: too many");
        assert_eq!(problem(Origin::Environment("workers")), "MILVUSCTL_WORKERS: too many");
        assert_eq!(problem(Origin::Default), "cluster.workers: too many");
    }
}
