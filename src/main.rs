//! The binary: runs milvusctl and exits with its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(milvusctl::run(std::env::args_os()) as u8)
}
