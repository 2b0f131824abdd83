//! The flags for settings, generated from the settings' own table, and the layer that flags and environment
//! form.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser, ValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueHint, value_parser};

use super::environment::{item, without_gaps};
use crate::settings::keys::{self, Flag, FlagGroup, Key, ValueKind};
use crate::settings::{Layer, Origin};

/// Defines arguments consisting of all flags of some groups; [`layer`] reads their values.
macro_rules! groups {
    ($($(#[$about:meta])* $name:ident = $groups:expr;)+) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl Args for $name {
            fn augment_args(command: Command) -> Command {
                command.args(flags(&$groups).map(|(key, flag)| arg(key, flag)))
            }

            fn augment_args_for_update(command: Command) -> Command {
                Self::augment_args(command)
            }
        }

        impl FromArgMatches for $name {
            fn from_arg_matches(_: &ArgMatches) -> Result<Self, clap::Error> {
                Ok(Self)
            }

            fn update_from_arg_matches(&mut self, _: &ArgMatches) -> Result<(), clap::Error> {
                Ok(())
            }
        }
    )+};
}

groups! {
    /// What to deploy, and where its images come from.
    PlanArgs = [FlagGroup::Plan, FlagGroup::Mirror];
    /// Where images come from.
    MirrorArgs = [FlagGroup::Mirror];
    /// Where images come from and how they get into nodes.
    LoadArgs = [FlagGroup::Mirror, FlagGroup::Fetch, FlagGroup::Load, FlagGroup::Store];
    /// What to deploy, and how to download its images.
    SaveSettingsArgs = [FlagGroup::Plan, FlagGroup::Mirror, FlagGroup::Fetch, FlagGroup::Store];
    /// Where downloaded images are kept.
    StoreArgs = [FlagGroup::Store];
    /// Everything that `up` takes.
    UpSettingsArgs =
        [FlagGroup::Plan, FlagGroup::Mirror, FlagGroup::Fetch, FlagGroup::Load, FlagGroup::Store, FlagGroup::Up];
    /// Which cluster.
    ClusterArgs = [FlagGroup::Global];
}

fn flags(groups: &[FlagGroup]) -> impl Iterator<Item = (&'static Key, Flag)> {
    let of_group = |key: &'static Key| key.flag.map(|flag| (key, flag));
    keys::ALL.iter().filter_map(of_group).filter(|(_, flag)| groups.contains(&flag.group))
}

/// clap's id of a key's flag; unlike the flag's name, it is unique.
fn id(key: &Key) -> &'static str {
    key.path
}

fn arg(key: &Key, flag: Flag) -> Arg {
    let about = if flag.about.is_empty() { key.about } else { flag.about };
    let help = if flag.default.is_empty() {
        about.to_owned()
    } else {
        format!("{about} [default: {}]", flag.default)
    };
    let arg = Arg::new(id(key))
        .long(flag.name)
        .help(help)
        .env(flag.variable())
        .hide_env(true)
        .global(flag.group == FlagGroup::Global);
    if key.kind == ValueKind::Bool {
        return arg.action(ArgAction::SetTrue);
    }
    let arg = arg.value_name(flag.value);
    match key.kind {
        ValueKind::OneOf(variants) => arg.value_parser(AnyOf(variants)),
        ValueKind::Integer(..) => arg.value_parser(value_parser!(i64)),
        ValueKind::Texts | ValueKind::Rules => {
            arg.action(ArgAction::Append).value_delimiter(',').value_parser(item())
        }
        ValueKind::Path => arg.value_hint(ValueHint::AnyPath),
        _ => arg.value_parser(ValueParser::string()),
    }
}

/// Shows these words in help and completions, but leaves rejecting others to the settings, which report all
/// problems at once.
#[derive(Clone)]
struct AnyOf(&'static [&'static str]);

impl TypedValueParser for AnyOf {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

/// Collects flags and environment into a layer of settings; flags beat variables.
///
/// `matches` are the whole command line's; flags that the innermost command lacks are left out.
pub fn layer(matches: &ArgMatches) -> Layer {
    let mut layer = Layer::default();
    let mut innermost = matches;
    while let Some((_, inner)) = innermost.subcommand() {
        innermost = inner;
    }
    for key in keys::ALL {
        let Some(flag) = key.flag else { continue };
        let Some(origin) = origin(innermost, key, flag) else { continue };
        let texts = || {
            let items: Vec<_> =
                innermost.get_many::<String>(id(key)).into_iter().flatten().cloned().collect();
            without_gaps(items).into_iter()
        };
        match key.kind {
            ValueKind::Bool => {
                let is_set = innermost.get_flag(id(key));
                layer.set(*key, if flag.about.is_empty() { is_set } else { !is_set }, origin);
            }
            ValueKind::Integer(..) => {
                if let Some(number) = innermost.get_one::<i64>(id(key)) {
                    layer.set(*key, *number, origin);
                }
            }
            ValueKind::Texts => layer.set_texts(*key, texts(), &origin),
            ValueKind::Rules => layer.set_rules(*key, texts(), &origin),
            _ => {
                if let Some(text) = innermost.get_one::<String>(id(key)) {
                    layer.set(*key, text.as_str(), origin);
                }
            }
        }
    }
    layer
}

/// The origin of an argument's value; `None` if it was not given or the command has no such argument.
fn origin(matches: &ArgMatches, key: &Key, flag: Flag) -> Option<Origin> {
    if !matches.ids().any(|known| known.as_str() == id(key)) {
        return None;
    }
    match matches.value_source(id(key))? {
        ValueSource::CommandLine => Some(Origin::Flag(flag.name)),
        ValueSource::EnvVariable => Some(Origin::Environment(flag.name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::Cli;
    use super::*;
    use crate::settings::resolve;

    fn of(args: &[&str]) -> Layer {
        layer(&Cli::command().try_get_matches_from(args).unwrap())
    }

    #[test]
    fn flags_become_settings_that_remember_their_flag() {
        let settings = resolve(
            of(&[
                "milvusctl",
                "--name",
                "a",
                "up",
                "--workers",
                "1",
                "--port",
                "1:30001,2:30002",
                "--no-attu",
            ]),
            None,
        )
        .unwrap();
        assert_eq!(settings.cluster.name, "a");
        assert_eq!(settings.cluster.workers, 1);
        assert_eq!(settings.cluster.ports.len(), 2);
        assert!(!settings.attu.enabled);
        assert_eq!(settings.origin(keys::CLUSTER_WORKERS), Origin::Flag("workers"));
        assert_eq!(settings.origin(keys::CLUSTER_SERVICE_SUBNET), Origin::Default);
    }

    #[test]
    fn gaps_between_commas_are_passed_over() {
        let ports = |text: &str| {
            let layer = of(&["milvusctl", "up", "--port", text]);
            resolve(layer, None).map(|settings| settings.cluster.ports.len())
        };
        assert_eq!(ports("1:30001, ,2:30002,"), Ok(2));
        assert!(ports("").is_err(), "a variable of the shell that is not set");
    }

    #[test]
    fn global_flags_may_follow_the_command() {
        let settings = resolve(of(&["milvusctl", "down", "--name", "b"]), None).unwrap();
        assert_eq!(settings.cluster.name, "b");
    }

    #[test]
    fn the_timeout_of_up_is_a_setting() {
        let settings = resolve(of(&["milvusctl", "up", "--timeout", "90s"]), None).unwrap();
        assert_eq!(settings.up.timeout.as_secs(), 90);
    }
}
