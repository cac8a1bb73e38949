"""Whom a request is charged to: virtual cluster, route, zone, alternative name."""
from case import case, get, post, request

INSIDE = "x-forwarded-for: 10.0.0.1"

CASES = [
    case("virtual cluster and route", "main", get("/sp/s200")),
    case("another route of the same name", "main", get("/same/s201")),
    case("two virtual clusters of one name", "main", request("/up/s200", method="PUT")),
    case("virtual cluster of writes", "main", post("/sp/echo", "abc")),
    case("other", "main", get("/up/s404")),
    case("virtual host without virtual clusters", "main", get("/s200", host="plain.example")),
    case("names with dots and colons", "main", get("/s200", host="dotted.example")),
    case("direct response", "main", get("/direct")),
    case("1xx", "main", get("/sp/hints")),
    case("retries until they run out", "main", get("/retry/s503")),
    case("retry that succeeds", "main", get("/retry/flaky")),
    case("retry after reset", "main", get("/retry/reset")),
    case("no retry allowed", "main", get("/noretries/s503")),
    case("route timeout", "main", get("/slow/slow1000")),
    case("per-try timeout", "main", get("/try/slow1000")),
    case("refused", "main", get("/dead")),
    case("no healthy host", "main", get("/empty")),
    case("no cluster", "main", get("/none")),
    case("dropped", "main", get("/dropped")),
    case("grpc that breaks off", "main", post("/up/midreset", "", "content-type: application/grpc", "te: trailers")),
    case("canary", "main", get("/canary/s200")),
    case("canary that is late", "main", get("/canary/slow1000")),
    case("from inside", "main", get("/sp/s200", INSIDE)),
    case("alternative name from inside", "main", get("/sp/s200", INSIDE, "x-envoy-upstream-alt-stat-name: shop")),
    case("alternative name from nobody knows where", "main", get("/sp/s200", "x-envoy-upstream-alt-stat-name: mall")),
    case("alternative name of a failure", "main", get("/dead", INSIDE, "x-envoy-upstream-alt-stat-name: shop")),
]
