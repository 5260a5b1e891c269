//! What is added to the complaint about a bad value: in which variable it stands, and what would be right. And what is said of a
//! good one that stands where others can read it.

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

/// Warns of passwords in arguments, which everybody on this machine can see.
pub(crate) fn of_passwords() {
    let given: Vec<_> = std::env::args_os().skip(1).map(|given| given.to_string_lossy().into_owned()).collect();
    for flag in with_passwords(&given) {
        tracing::warn!(
            flag,
            "an argument holds a password, which everybody on this machine can see: write it into the configuration file or \
             into the environment"
        );
    }
}

/// The flags whose values are addresses with passwords in them.
fn with_passwords(given: &[String]) -> Vec<&str> {
    let before = std::iter::once("").chain(given.iter().map(String::as_str));
    let found = before.zip(given).filter(|(_, given)| has_password(given));
    found
        .map(|(before, given)| match given.split_once('=') {
            Some((flag, _)) if flag.starts_with("--") => flag,
            _ if before.starts_with("--") => before,
            _ => "",
        })
        .collect()
}

/// Whether there is `://USER:PASSWORD@` in it.
fn has_password(given: &str) -> bool {
    given.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        user.and_then(|user| user.split_once(':')).is_some_and(|(_, password)| !password.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_arguments_are_found() {
        let given = [
            "run",
            "--redis-url",
            "rediss://:secret@redis.example:6379/0",
            "--source=relay:https://me:se%2Fcret@radio.example/x",
            "--redis-url",
            "unix://tape:secret@/run/redis.sock",
            "--redis-url",
            "redis://tape@redis.example",
            "--recorder-url",
            "http://[::1]:8081",
            "--source",
            "relay:http://radio.example/a:b@c",
            "--source",
            "relay:http://me:@radio.example",
        ];
        let given = given.map(str::to_owned);
        assert_eq!(with_passwords(&given), ["--redis-url", "--source", "--redis-url"]);
    }
}
