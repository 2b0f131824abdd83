//! The command line program: parses, builds the context, runs, and turns the result into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(milvusctl::start::run(std::env::args_os()) as u8)
}
