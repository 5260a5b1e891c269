//! What is added to the complaint about a bad value: in which variable it stands, and what would be right.

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command, Error};

/// The variable from which the bad value came, with an example, if it came from one.
pub(crate) fn of_variable(command: &Command, error: &Error) -> Option<String> {
    let Some(ContextValue::String(named)) = error.get(ContextKind::InvalidArg) else { return None };
    // As "--http-addr <ADDR>".
    let flag = named.split(' ').next()?;
    let arg = args(command).find(|arg| arg.get_long().is_some() && arg.get_long() == flag.strip_prefix("--"))?;
    let variable = arg.get_env()?.to_str()?;
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty())?;
    let given = std::env::args().any(|given| given == flag || given.starts_with(&format!("{flag}=")));
    let example = example(arg).map(|example| format!("; {variable}={example} would be right")).unwrap_or_default();
    (!given).then(|| format!("It stands in the environment: {variable}={value}{example}"))
}

fn args(command: &Command) -> Box<dyn Iterator<Item = &Arg> + '_> {
    Box::new(command.get_arguments().chain(command.get_subcommands().flat_map(args)))
}

/// What is built in or "such as", as the help says it, or else one of the possible values, or what fits a size or a time.
fn example(arg: &Arg) -> Option<String> {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let built_in = help.split_once("[default: ").and_then(|(_, rest)| rest.split(']').next());
    let built_in =
        built_in.filter(|value| !value.contains(' ') && !matches!(*value, "keep" | "none" | "nowhere" | "any"));
    let such_as = help.split_once("such as ").and_then(|(_, rest)| rest.split([' ', '[']).next());
    let possible = arg.get_possible_values().first().map(|value| value.get_name().to_owned());
    let kind = arg.get_value_names()?.first()?.as_str();
    let of_kind = match kind {
        "SIZE" => Some("500GB"),
        "TIME" => Some("90d"),
        _ => None,
    };
    built_in.or(such_as).map(str::to_owned).or(possible).or(of_kind.map(str::to_owned))
}
