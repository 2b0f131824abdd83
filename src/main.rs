//! The program: runs, and leaves with the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(milvusctl::run(std::env::args_os()) as u8)
}
