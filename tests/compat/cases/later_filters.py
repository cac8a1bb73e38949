"""Faults, local rate limits, RBAC, buffering, CORS, health checks."""
from case import case, get, post

LATER = True
GRPC = ["content-type: application/grpc", "te: trailers"]
PREFLIGHT = ["Origin: http://a.example", "Access-Control-Request-Method: GET"]

CASES = [
    case("fault delay", "main", get("/delay/s200"), timed=True),
    case("fault abort", "main", get("/abort/s200")),
    case("fault abort with grpc status, not grpc", "main", get("/abortgrpc/s200")),
    case("fault abort with grpc status", "main", post("/abortgrpc/s200", "", *GRPC)),
    case("rate limit, the one token", "main", get("/limited/s200")),
    case("rate limit, none left", "main", get("/limited/s200")),
    case("rate limit, none left for grpc", "main", post("/limited/s200", "", *GRPC)),
    case("denied", "main", get("/denied/s200")),
    case("body too large to buffer", "main", post("/buffered/s200", "x" * 100)),
    case("body small enough to buffer", "main", post("/buffered/echo", "x" * 10)),
    case("chunked body gets a length", "main",
         "POST /buffered/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    case("cors preflight", "main", get("/cors/s200", *PREFLIGHT, method="OPTIONS")),
    case("cors preflight of a stranger", "main",
         get("/cors/s200", "Origin: http://b.example", PREFLIGHT[1], method="OPTIONS")),
    case("cors answer", "main", get("/cors/s200", PREFLIGHT[0])),
    case("health check", "main", get("/healthz")),
]
