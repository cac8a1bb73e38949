//! `nuncio demo`: something to see within a second, with no file, no network and no other program.
//!
//! Runs `config/demo.yaml`, which is embedded, against two small HTTP servers in this process
//! ([`upstreams`]), prints what to try, and shows live numbers when standard output is a terminal
//! ([`watch`]). `--traffic` sends a bounded trickle of requests ([`traffic`]). Everything listens on
//! loopback; a port of ours that is taken is replaced by a free one and said, one that was asked for
//! is not.

mod traffic;
mod upstreams;
mod watch;

use std::{io::IsTerminal as _, net::TcpListener, rc::Rc};

use nuncio_config::{Format, LoadOptions, Source, model};
use nuncio_net::SocketAddress;

use crate::{
    cli::{
        Demo, Flags,
        options::{LogOptions, Options},
    },
    exit::{Exit, say},
    logging::{self, Level},
    server::{self, Server, load},
};

const CONFIG: &str = include_str!("../../config/demo.yaml");

/// The ports that stand in the file.
const LISTENER: u16 = 10000;
const ADMIN: u16 = 9901;
const HELLO: u16 = 10081;
const SLOW: u16 = 10082;

/// Runs the demo until Ctrl-C.
pub(crate) fn run(demo: &Demo) -> Exit {
    let upstreams = match upstreams::start([HELLO, SLOW]) {
        Ok(upstreams) => upstreams,
        Err(error) => return failed(&format!("the example upstreams cannot start: {error}")),
    };
    let [hello, slow] = upstreams;
    let asked = port("--port", demo.port, LISTENER)
        .and_then(|proxy| Ok((proxy, port("--admin-port", demo.admin_port, ADMIN)?)));
    let (proxy, admin) = match asked {
        Ok(ports) => ports,
        Err(message) => return failed(&message),
    };
    let ports = [(LISTENER, proxy), (ADMIN, admin), (HELLO, hello), (SLOW, slow)];
    let options = match options(demo) {
        Ok(options) => options,
        Err(message) => return failed(&message),
    };
    let log = match logging::init(&options.log) {
        Ok(log) => log,
        Err(error) => return failed(&error.to_string()),
    };
    let source = Source { name: "config/demo.yaml".to_owned(), text: with_ports(&ports), format: Format::Yaml };
    let checked = load::check(vec![source], LoadOptions::default(), &model::Options::default());
    let report = checked.report();
    let Some(bootstrap) = checked.bootstrap else {
        return failed(&report);
    };
    let with_traffic = demo.traffic;
    server::serve(options, bootstrap, log, Some(Box::new(move |server| when_live(server, with_traffic))))
}

fn failed(message: &str) -> Exit {
    eprintln!("nuncio demo: {message}");
    Exit::Failure
}

fn options(demo: &Demo) -> Result<Options, String> {
    let flags = Flags { concurrency: Some(demo.concurrency), drain_grace_s: 2, ..Flags::default() };
    let options = Options::from_flags(flags).map_err(|error| error.0)?;
    // What is printed below says it all, unless something is wrong.
    Ok(Options { log: LogOptions { level: Level::Error, ..LogOptions::default() }, ..options })
}

/// The port that was asked for, if nobody has it. Without one the default, or 0 when somebody has
/// that: the kernel will choose.
fn port(flag: &str, asked: Option<u16>, default: u16) -> Result<u16, String> {
    let wanted = asked.unwrap_or(default);
    match (TcpListener::bind(("127.0.0.1", wanted)), asked) {
        (Ok(_), _) => Ok(wanted),
        (Err(_), None) => Ok(0),
        (Err(error), Some(_)) => Err(format!("{flag} {wanted}: cannot listen on 127.0.0.1:{wanted}: {error}")),
    }
}

/// The configuration with the ports that are really used.
fn with_ports(ports: &[(u16, u16)]) -> String {
    ports.iter().fold(CONFIG.to_owned(), |text, (written, used)| {
        text.replace(&format!("port_value: {written} }}"), &format!("port_value: {used} }}"))
    })
}

fn when_live(server: &Rc<Server>, with_traffic: bool) {
    let listener = server.listeners.first().and_then(|listener| listener.addresses.first());
    let (Some(SocketAddress::Ip(proxy)), Some(admin)) = (listener, &server.admin_address) else {
        return;
    };
    let proxy = *proxy;
    say(&format!(
        "nuncio demo

  proxy   http://{proxy}/
  admin   http://{admin}/    live page, open it in a browser

  try     curl http://{proxy}/              the upstream \"hello\"
          curl http://{proxy}/slow          the upstream \"slow\"
          curl http://{proxy}/split         one in four goes to \"slow\"
          curl -i http://{proxy}/teapot     answered by the proxy itself
          curl -i http://{proxy}/old        redirected
          curl -s http://{admin}/stats?usedonly

  config/demo.yaml is the configuration behind this. Ctrl-C ends it.

"
    ));
    if with_traffic {
        traffic::start(proxy);
    }
    if std::io::stdout().is_terminal() {
        tokio::task::spawn_local(watch::watch(Rc::clone(server)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_of_the_file_is_replaced() {
        let text = with_ports(&[(LISTENER, 1), (ADMIN, 2), (HELLO, 3), (SLOW, 4)]);
        for port in 1..=4 {
            assert!(text.contains(&format!("port_value: {port} }}")), "{port}");
        }
        for port in [LISTENER, ADMIN, HELLO, SLOW] {
            assert!(!text.contains(&format!("port_value: {port}")), "{port}");
        }
    }

    #[test]
    fn the_embedded_configuration_is_accepted_without_a_warning() {
        let source = Source { name: "demo".to_owned(), text: CONFIG.to_owned(), format: Format::Yaml };
        let checked = load::check(vec![source], LoadOptions::default(), &model::Options::default());
        assert!(checked.bootstrap.is_some() && checked.diagnostics.is_empty(), "{}", checked.report());
    }
}
