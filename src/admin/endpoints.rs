//! The endpoints: one list for dispatch, `/help` and the page.
//!
//! Paths, words and order are Envoy's, because tools parse `/help`.

use std::rc::Rc;

use super::{
    certs, clusters, config_dump, control, explain, listeners, logging, lookups, page, profiling,
    reply::{AdminRequest, Reply},
    runtime, server_info, stats, table,
};
use crate::server::Server;

/// One endpoint.
pub(super) struct Endpoint {
    pub(super) path: &'static str,
    pub(super) help: &'static str,
    pub(super) params: &'static [(&'static str, &'static str)],
    /// Changes something: POST only.
    pub(super) mutates: bool,
    pub(super) serve: fn(&Rc<Server>, &AdminRequest) -> Reply,
}

const fn get(path: &'static str, help: &'static str, serve: fn(&Rc<Server>, &AdminRequest) -> Reply) -> Endpoint {
    Endpoint { path, help, params: &[], mutates: false, serve }
}

const fn post(path: &'static str, help: &'static str, serve: fn(&Rc<Server>, &AdminRequest) -> Reply) -> Endpoint {
    Endpoint { path, help, params: &[], mutates: true, serve }
}

const USED_ONLY: (&str, &str) = ("usedonly", "Only include stats that have been written by system since restart");
const FILTER: (&str, &str) = ("filter", "Regular expression (Google re2) for filtering stats");
const INVERT: (&str, &str) = ("invert_filter", "Invert the filter regex");

/// All endpoints, by path.
pub(super) static ENDPOINTS: [Endpoint; 34] = [
    get("/", "Admin home page", page::home),
    Endpoint {
        params: &[("enable", "enable/disable the allocation profiler; One of (y, n)")],
        ..post("/allocprofiler", "enable/disable the allocation profiler (if supported)", profiling::allocations)
    },
    get("/certs", "print certs on machine", certs::certs),
    Endpoint {
        params: &[("filter", "Regular expression (Google re2) for filtering clusters by name")],
        ..get("/clusters", "upstream cluster status", clusters::clusters)
    },
    Endpoint {
        params: &[
            ("resource", "The resource to dump"),
            (
                "mask",
                "The mask to apply. When both resource and mask are specified, the mask is applied to every element in the desired repeated field so that only a subset of fields are returned. The mask is parsed as a Protobuf::FieldMask",
            ),
            (
                "name_regex",
                "Dump only the currently loaded configurations whose names match the specified regex. Can be used with both resource and mask query parameters.",
            ),
            (
                "include_eds",
                "Dump currently loaded configuration including EDS. See the response definition for more information",
            ),
        ],
        ..get("/config_dump", "dump current Envoy configs", config_dump::config_dump)
    },
    get("/contention", "dump current Envoy mutex contention stats (if enabled)", profiling::contention),
    Endpoint {
        params: &[("enable", "enables the CPU profiler; One of (y, n)")],
        ..post("/cpuprofiler", "enable/disable the CPU profiler", profiling::cpu)
    },
    Endpoint {
        params: &[
            (
                "graceful",
                "When draining listeners, enter a graceful drain period prior to closing listeners. This behaviour and duration is configurable via server options or CLI",
            ),
            (
                "skip_exit",
                "When draining listeners, drain the connections but never stop the listeners. The graceful parameter has no effect when this is set, since the drain period only delays stopping the listeners",
            ),
            (
                "inboundonly",
                "Drains all inbound listeners. traffic_direction field in envoy_v3_api_msg_config.listener.v3.Listener is used to determine whether a listener is inbound or outbound.",
            ),
        ],
        ..post("/drain_listeners", "drain listeners", control::drain_listeners)
    },
    Endpoint {
        params: &[
            ("url", "URL of the request"),
            ("method", "its method, GET if not given"),
            ("header", "one of its headers as name: value; may be repeated"),
            ("listener", "listener by name"),
            ("client", "address that the connection comes from"),
            ("format", "Format to use; One of (text, json)"),
        ],
        ..get("/explain", "say what would become of a request, and why", explain::answer)
    },
    post("/healthcheck/fail", "cause the server to fail health checks", control::healthcheck_fail),
    post("/healthcheck/ok", "cause the server to pass health checks", control::healthcheck_ok),
    get("/heap_dump", "dump current Envoy heap (if supported)", profiling::heap_dump),
    Endpoint {
        params: &[("enable", "enable/disable the heap profiler; One of (y, n)")],
        ..post("/heapprofiler", "enable/disable the heap profiler", profiling::heap)
    },
    get("/help", "print out list of admin commands", |_, _| Reply::text(table::help())),
    get("/hot_restart_version", "print the hot restart compatibility version", server_info::hot_restart_version),
    Endpoint {
        params: &[(
            "mask",
            "The desired component to dump unready targets. The mask is parsed as a Protobuf::FieldMask. For example, get the unready targets of all listeners with /init_dump?mask=listener`",
        )],
        ..get("/init_dump", "dump current Envoy init manager information (experimental)", control::init_dump)
    },
    Endpoint {
        params: &[("format", "File format to use; One of (text, json)")],
        ..get("/listeners", "print listener info", listeners::listeners)
    },
    Endpoint {
        params: &[
            (
                "paths",
                "Change multiple logging levels by setting to <logger_name1>:<desired_level1>,<logger_name2>:<desired_level2>. If fine grain logging is enabled, use __FILE__ or a glob experision as the logger name. For example, source/common*:warning",
            ),
            (
                "group",
                "Change given logger group to desired level, set to <logger_group_name>:<desired_level>. logger_group_name must be a logger name.",
            ),
            (
                "level",
                "desired logging level, this will change all loggers's level; One of (, trace, debug, info, warning, error, critical, off)",
            ),
        ],
        ..post("/logging", "query/change logging levels", logging::logging)
    },
    get("/memory", "print current allocation/heap usage", server_info::memory),
    get("/memory/tcmalloc", "print TCMalloc stats", profiling::tcmalloc),
    get("/peak_heap_dump", "dump peak Envoy heap (if supported)", profiling::heap_dump),
    post("/quitquitquit", "exit the server", control::quit),
    get("/ready", "print server state, return 200 if LIVE, otherwise return 503", control::ready),
    post("/reopen_logs", "reopen access logs", control::reopen_logs),
    post("/reset_counters", "reset all counters to zero", control::reset_counters),
    get("/runtime", "print runtime values", runtime::runtime),
    post(
        "/runtime_modify",
        "Adds or modifies runtime values as passed in query parameters. To delete a previously added key, use an empty string as the value. Note that deletion only applies to overrides added via this endpoint; values loaded from disk can be modified via override but not deleted. E.g. ?key1=value1&key2=value2...",
        runtime::runtime_modify,
    ),
    get("/server_info", "print server version/status information", server_info::server_info),
    Endpoint {
        params: &[
            USED_ONLY,
            FILTER,
            INVERT,
            ("format", "Format to use; One of (html, active-html, text, json)"),
            ("type", "Stat types to include.; One of (All, Counters, Histograms, Gauges, TextReadouts)"),
            ("histogram_buckets", "Histogram bucket display mode; One of (cumulative, disjoint, detailed, summary)"),
        ],
        ..get("/stats", "print server stats", stats::stats)
    },
    Endpoint {
        params: &[
            USED_ONLY,
            ("text_readouts", "Render text_readouts as new gaugues with value 0 (increases Prometheus data size)"),
            FILTER,
            INVERT,
            ("histogram_buckets", "Histogram bucket display mode; One of (cumulative, summary)"),
        ],
        ..get("/stats/prometheus", "print server stats in prometheus format", stats::prometheus)
    },
    get("/stats/recentlookups", "Show recent stat-name lookups", lookups::show),
    post("/stats/recentlookups/clear", "clear list of stat-name lookups and counter", lookups::clear),
    post("/stats/recentlookups/disable", "disable recording of reset stat-name lookup names", lookups::disable),
    post("/stats/recentlookups/enable", "enable recording of reset stat-name lookup names", lookups::enable),
];
