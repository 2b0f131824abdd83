//! How variables stand in for flags, alike for all of them: an empty one is as good as none, and switches take the
//! words that people write.

use std::ffi::OsStr;

use clap::builder::{BoolishValueParser, StringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, Command};

use crate::settings::keys;

/// The same command line, with the variables as they are now.
pub(super) fn with_variables(command: Command) -> Command {
    command.mut_args(with_variable).mut_subcommands(with_variables)
}

fn with_variable(arg: Arg) -> Arg {
    let Some(value) = arg.get_env().map(std::env::var_os) else { return arg };
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let says_nothing = value.is_none_or(|value| value.is_empty() || (is_switch && is_mere_no(&arg, &value)));
    let arg = if says_nothing { arg.env(None::<&'static str>) } else { arg };
    if is_switch { arg.value_parser(BoolishValueParser::new()) } else { arg }
}

/// Whether a variable turns off a switch that is off anyway, and so conflicts with no flag. A setting may be on in
/// the configuration file.
fn is_mere_no(arg: &Arg, value: &OsStr) -> bool {
    let is_setting = keys::ALL.iter().any(|key| key.path == arg.get_id().as_str());
    let says = || BoolishValueParser::new().parse_ref(&Command::new(""), Some(arg), value);
    !is_setting && says().is_ok_and(|is_on| !is_on)
}

/// Reads an item of a list, without the blanks that people put behind commas.
pub(super) fn item() -> impl TypedValueParser<Value = String> {
    StringValueParser::new().map(|text| text.trim().to_owned())
}
