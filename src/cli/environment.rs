//! Environment variables as flags, uniformly for all of them: an empty one counts as unset, and switches take
//! the usual words for true and false.

use std::ffi::OsStr;

use clap::builder::{BoolishValueParser, StringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, Command};

use crate::settings::keys;

/// Applies the current environment to the command line.
pub(super) fn with_variables(command: Command) -> Command {
    command.mut_args(with_variable).mut_subcommands(with_variables)
}

fn with_variable(arg: Arg) -> Arg {
    let Some(value) = arg.get_env().map(std::env::var_os) else { return arg };
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let is_list = arg.get_value_delimiter().is_some();
    let is_blank = |value: &OsStr| {
        let text = value.to_string_lossy();
        value.is_empty() || (is_list && text.split(',').all(|item| item.trim().is_empty()))
    };
    let is_unset =
        value.is_none_or(|value| is_blank(&value) || (is_switch && is_redundant_off(&arg, &value)));
    let arg = if is_unset { arg.env(None::<&'static str>) } else { arg };
    if is_switch { arg.value_parser(BoolishValueParser::new()) } else { arg }
}

/// Whether a variable turns off a switch that is off anyway, so that it conflicts with no flag. A setting may
/// be on in the configuration file.
fn is_redundant_off(arg: &Arg, value: &OsStr) -> bool {
    let is_setting = keys::ALL.iter().any(|key| key.path == arg.get_id().as_str());
    let parsed = || BoolishValueParser::new().parse_ref(&Command::new(""), Some(arg), value);
    !is_setting && parsed().is_ok_and(|is_on| !is_on)
}

/// Parses a list item, trimming the spaces that people put after commas.
pub(super) fn item() -> impl TypedValueParser<Value = String> {
    StringValueParser::new().map(|text| text.trim().to_owned())
}

/// The items of a list without empty ones, as in `a, ,b`; one that has no others keeps them.
pub(super) fn without_gaps(items: Vec<String>) -> Vec<String> {
    if items.iter().all(String::is_empty) {
        return items;
    }
    items.into_iter().filter(|item| !item.is_empty()).collect()
}
