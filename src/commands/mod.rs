//! One file per command: observe, plan, act, report.

pub(crate) mod completions;
mod diagnose;
mod doctor;
mod down;
mod expose;
mod forward;
mod images;
mod load_missing_images;
mod man;
mod render;
mod smoke;
mod status;
mod up;

use crate::cli::Command;
use crate::context::Context;
use crate::error::Exit;

/// Runs a command and returns the exit code.
///
/// # Errors
/// Returns the error to show to the user; [`crate::error::exit_of`] maps it to an exit code.
pub fn run(command: &Command, context: &Context) -> anyhow::Result<Exit> {
    match command {
        Command::Diagnose(args) => diagnose::run(args, context),
        Command::Doctor(args) => doctor::run(args, context),
        Command::Down(args) => down::run(args, context),
        Command::Expose(args) => expose::run(args, context),
        Command::Forward(args) => forward::run(args, context),
        Command::Smoke(args) => smoke::run(args, context),
        Command::Render(args) => render::run(args, context),
        Command::Completions { shell } => completions::run(*shell, context),
        Command::Man(args) => man::run(args, context),
        Command::LoadMissingImages(args) => load_missing_images::run(args, context),
        Command::Images(command) => images::run(command, context),
        Command::Status(args) => status::run(args, context),
        Command::Up(args) => up::run(args, context),
    }
}
