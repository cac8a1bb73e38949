//! `/logging`: levels of the server's own log, shown and changed.

use std::{fmt::Write as _, rc::Rc};

use super::reply::{AdminRequest, Reply};
use crate::{
    logging::{LOGGERS, Level, Log, is_logger},
    server::Server,
};

const USAGE: &str = "usage: /logging?<name>=<level> (change single level)
usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)
usage: /logging?level=<level> (change all levels)
usage: /logging?group=<group_name>:<level> (change group of loggers)
levels: trace debug info warning error critical off \n";

/// `/logging`
pub(super) fn logging(server: &Rc<Server>, request: &AdminRequest) -> Reply {
    match change(&server.log, request.params()) {
        Ok(()) => Reply::text(active(&server.log)),
        Err(error) => Reply::bad_request(format!("error: {error}\n\n{USAGE}{}", active(&server.log))),
    }
}

/// Applies all of it or nothing.
fn change(log: &Log, params: &[(String, String)]) -> Result<(), &'static str> {
    let (name, value) = match params {
        [] => return Ok(()),
        [(name, value)] => (name.as_str(), value.as_str()),
        _ => return Err("invalid number of parameters"),
    };
    match name {
        _ if value.is_empty() => Ok(()),
        "level" => {
            log.set_all(level(value)?);
            Ok(())
        }
        "group" => Err("group parameter requires fine-grain logging to be enabled"),
        "paths" => {
            let entries: Vec<(&str, Level)> = value
                .split(',')
                .filter(|entry| !entry.is_empty())
                .map(|entry| {
                    let parts = entry.split_once(':').filter(|(name, text)| !name.is_empty() && !text.is_empty());
                    let (name, text) = parts.ok_or("empty logger name or empty logger level")?;
                    let level = level(text)?;
                    Ok((known(name)?, level))
                })
                .collect::<Result<_, &'static str>>()?;
            for (name, level) in entries {
                log.set(name, level);
            }
            Ok(())
        }
        name => {
            let level = level(value)?;
            log.set(known(name)?, level);
            Ok(())
        }
    }
}

fn level(text: &str) -> Result<Level, &'static str> {
    // `warn` is a word of the command line only.
    Level::parse(text).filter(|level| level.name() == text).ok_or("unknown logger level")
}

fn known(name: &str) -> Result<&str, &'static str> {
    if is_logger(name) { Ok(name) } else { Err("unknown logger name") }
}

fn active(log: &Log) -> String {
    let mut text = String::from("active loggers:\n");
    for (at, name) in LOGGERS.iter().enumerate() {
        let _ = writeln!(text, "  {name}: {}", log.level(at).name());
    }
    text.push('\n');
    text
}
