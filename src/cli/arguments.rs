//! Arguments as Envoy's parser takes them, put into the form that ours reads.
//!
//! - A flag takes the argument behind it whatever it looks like: `--service-node -x`.
//! - `--` and `--ignore_rest` end the line; what follows is for somebody else.
//! - Nothing after `--version` or `--help` matters.
//! - An argument that is empty or a single dash is passed over; so is a number that is empty.
//!
//! Subcommands are ours: their lines are left as they are.

use std::{any::TypeId, ffi::OsString};

use clap::{Arg, ArgAction, Command};

/// The command line, the program's name first.
pub(crate) fn as_envoy(command: &Command, given: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut given = given.into_iter();
    let mut taken: Vec<OsString> = given.next().into_iter().collect();
    while let Some(argument) = given.next() {
        let text = argument.to_str().unwrap_or_default();
        if taken.len() == 1 && command.get_subcommands().any(|one| one.get_name() == text) {
            taken.push(argument);
            taken.extend(given);
            return taken;
        }
        match text {
            "--" | "--ignore_rest" => return taken,
            "--version" | "--help" | "-h" => {
                taken.push(argument);
                return taken;
            }
            "-" => continue,
            "" if argument.is_empty() => continue,
            _ => {}
        }
        match flag(command, text) {
            Some(flag) if flag.get_action().takes_values() => taken.extend(with_value(flag, argument, given.next())),
            _ => taken.push(argument),
        }
    }
    taken
}

fn flag<'c>(command: &'c Command, text: &str) -> Option<&'c Arg> {
    let long = text.strip_prefix("--");
    let short = text.strip_prefix('-').and_then(|rest| rest.parse::<char>().ok());
    command.get_arguments().find(|flag| {
        let is_long = long.is_some() && flag.get_long() == long;
        is_long || (short.is_some() && flag.get_short() == short)
    })
}

/// A flag and its value as one argument.
fn with_value(flag: &Arg, argument: OsString, value: Option<OsString>) -> Option<OsString> {
    let Some(value) = value else { return Some(argument) };
    let is_number = flag.get_value_parser().type_id() == TypeId::of::<u32>();
    if is_number && value.is_empty() && matches!(flag.get_action(), ArgAction::Set) {
        return None;
    }
    let mut whole = argument;
    // `--flag=value` and `-f=value`.
    whole.push("=");
    whole.push(value);
    Some(whole)
}
