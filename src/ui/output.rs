//! How a command answers.

use clap::ValueEnum;

/// How a command answers on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Text,
    /// One document with stable field names.
    Json,
}
