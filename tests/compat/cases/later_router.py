"""Retries, circuit breakers, mirroring, internal redirects, upgrades, reply rules."""
from case import case, get, post

LATER = True
WS = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: a", "Sec-WebSocket-Version: 13"]

CASES = [
    case("5xx until retries run out", "main", get("/r5xx/s503")),
    case("5xx, third attempt is good", "main", get("/r5xx/flaky")),
    case("retriable status codes", "main", get("/r503/s503")),
    case("status that is not retriable", "main", get("/r503/s500")),
    case("retry after reset", "main", get("/rreset/reset")),
    case("retry with body", "main", post("/r5xx/s503", "abc")),
    case("retry of a refused connection", "main", get("/rdead/x")),
    case("per-try timeout", "main", get("/pertry/slow1000"), timed=True),
    case("retry overflow", "main", get("/noretries/s503")),
    case("rate-limited answers are not retried", "main", get("/r5xx/retryafter")),
    case("retry headers from inside", "main",
         get("/up/s503", "x-forwarded-for: 10.0.0.1", "x-envoy-retry-on: 5xx", "x-envoy-max-retries: 1")),
    case("attempt count", "main", get("/s503", host="attempts.example")),
    case("attempt count after timeouts", "main", get("/slow1000", host="attempts.example")),
    case("virtual cluster", "main", get("/s200", host="clusters.example")),
    case("virtual cluster not matched", "main", post("/s200", "", host="clusters.example")),
    case("pending overflow", "main", get("/nopending/s200")),
    case("request overflow", "main", get("/norequests/s200")),
    case("dropped by the cluster", "main", get("/dropped/s200")),
    case("mirrored", "main", get("/mirrored/echo")),
    case("internal redirect followed", "main", get("/follow/redirect")),
    case("internal redirect left alone", "main", get("/up/redirect")),
    case("upgrade answered by 200", "main", get("/ws/echo", *WS)),
    case("upgrade answered by 101", "main", get("/ws/switch", *WS), linger=0.5),
    case("reply mapped by status", "replies", get("/zzz?a=b")),
    case("reply in json", "replies", get("/rdead/x")),
    case("direct response in json", "replies", get("/direct")),
    case("malformed request in json", "replies", "GET / HTTP/1.1\r\nHost: a\r\nbad header: 1\r\n\r\n"),
]
