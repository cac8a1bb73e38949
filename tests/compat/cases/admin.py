"""The admin server: answers, their headers, methods, targets, its log."""
from case import Await, case, get, h2case, lines, post, request

FORM = "Content-Type: application/x-www-form-urlencoded"


def order(path):
    """A POST without a body."""
    return request(path, method="POST")


BODILESS = {"heads": True, "departs": "Envoy sends a body after its answer to HEAD (RFC 9110 section 9.3.2)",
            "departs_in": ("reply",)}

MORE_HELP = {"departs": "the list names /explain, which Envoy has not", "departs_in": ("reply", "log"),
             "instead": "HTTP/1.1 404 Not Found"}

CASES = [
    case("ready", "admin", get("/ready")),
    case("ready twice on one connection", "admin", get("/ready"), Await(), get("/ready?x"), responses=2),
    case("ready, head", "admin", get("/ready", method="HEAD"), **BODILESS, instead="HTTP/1.1 200 OK"),
    case("ready, http/1.0", "admin", lines("GET /ready HTTP/1.0", "Host: a")),
    case("ready, options", "admin", get("/ready", method="OPTIONS")),
    case("ready, with a body", "admin", post("/ready", "abc")),
    case("path is normalized", "admin", get("/a/..//%72eady")),
    case("unknown path, head", "admin", get("/ready/", method="HEAD"), 
         **{**BODILESS, "departs_in": ("reply", "log")}, instead="HTTP/1.1 404 Not Found"),
    case("path ends with a slash", "admin", get("/ready/"), **MORE_HELP),
    case("bad request", "admin", "BAD\r\n\r\n"),
    case("without host", "admin", "GET /ready HTTP/1.1\r\n\r\n"),
    case("help", "admin", get("/help"), **{**MORE_HELP, "instead": "HTTP/1.1 200 OK"}),
    case("unknown path", "admin", get("/nosuch"), **MORE_HELP),
    case("get of what changes", "admin", get("/quitquitquit")),
    case("certs", "admin", get("/certs")),
    case("init dump", "admin", get("/init_dump")),
    case("contention", "admin", get("/contention")),
    case("health check fails and recovers", "admin", order("/healthcheck/fail"), Await(), get("/ready"), Await(2),
         order("/healthcheck/ok"), Await(3), get("/ready"), responses=4),
    case("one stat as text", "admin", get("/stats?filter=^server.live$")),
    case("one stat as json", "admin", get("/stats?filter=^server.live$&format=json")),
    case("one stat for prometheus", "admin", get("/stats/prometheus?filter=^server.live$")),
    case("no stat", "admin", get("/stats?filter=^nosuch$")),
    case("stats in no format", "admin", get("/stats?format=x")),
    case("stats of no type", "admin", get("/stats?type=x")),
    case("config dump of nothing", "admin", get("/config_dump?resource=nosuch")),
    case("config dump, mask of nothing", "admin", get("/config_dump?mask=nosuch")),
    case("config dump of routes", "admin", get("/config_dump?resource=static_route_configs&mask=route_config.name")),
    case("clusters by a broken expression", "admin", get("/clusters?filter=%5B")),
    case("log level that is none", "admin", order("/logging?http=loud")),
    case("logger that is none", "admin", order("/logging?nosuch=info")),
    case("cpu profiler, no word", "admin", order("/cpuprofiler")),
    case("cpu profiler, off", "admin", order("/cpuprofiler?enable=n")),
    case("heap profiler", "admin", order("/heapprofiler?enable=y")),
    case("recent lookups, enabled", "admin", order("/stats/recentlookups/enable")),
    case("recent lookups, disabled", "admin", order("/stats/recentlookups/disable")),
    case("runtime, no parameters", "admin", order("/runtime_modify")),
    case("runtime, get", "admin", get("/runtime_modify?a=1")),
    case("runtime, no yaml", "admin", order("/runtime_modify?on.bad=%5B"),
         departs="each parser has words of its own", instead="HTTP/1.1 503 Service Unavailable"),
    case("runtime fraction of the file", "main", get("/none")),
    case("runtime flag is no fraction", "main", get("/flag")),
    case("runtime, nothing said", "main", get("/switch")),
    case("runtime, on for all", "admin", order("/runtime_modify?on.switch=100&on.none=100")),
    case("runtime, switched on", "main", get("/switch"), Await(), get("/none"), responses=2),
    case("runtime by form", "admin", post("/runtime_modify", "on.switch=%7Bnumerator:%200%7D&on.none=", FORM)),
    case("runtime, switched off", "main", get("/switch"), Await(), get("/none"), responses=2),
    case("runtime, emptied", "admin", order("/runtime_modify?on.switch=")),
    case("runtime stats", "admin", get("/stats?filter=^runtime.(num|admin)")),
    h2case("ready over http/2", "admin", lambda c: c.get("/ready"), loose=""),
]
