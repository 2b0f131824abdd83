//! How a command answers.

use clap::ValueEnum;

/// How a command answers on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Human-readable
    Text,
    /// One document with stable field names.
    Json,
}
