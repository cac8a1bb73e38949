"""Settings of clusters: several addresses of a host, limits, policies that pick by hash."""
from case import case, get

CASES = [
    case("the second address answers", "main", get("/second/echo")),
    case("no address answers", "main", get("/neither/echo")),
    case("the second address is tried when the first is silent", "main", get("/late/echo"), timed=True),
    case("one family goes first", "main", get("/family/echo")),
    case("all addresses of a name", "main", get("/localhost/echo")),
    case("an address as a name", "main", get("/numeric/echo"), origin_view=True),
    case("no pool allowed", "main", get("/pools/echo")),
    case("no connection to a host allowed but the first", "main", get("/perhost/echo")),
    case("a ring of one host", "main", get("/ring/echo")),
    case("a table of one host", "main", get("/maglev/echo")),
    case("a table of sick hosts is in panic", "main", get("/sick/echo")),
    case("a ring has no degraded hosts", "main", get("/degraded/echo")),
    case("a ring without panic has no hosts", "main", get("/panic/echo")),
]
