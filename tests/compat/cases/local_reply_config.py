"""What local_reply_config makes of the proxy's own answers, and which streams access logs tell of."""
from case import case, get, h2case, lines, post

GRPC = ["content-type: application/grpc", "te: trailers"]
PATHS = ["/direct", "/typed", "/empty", "/redirect", "/nohealthy", "/refused", "/nocluster", "/zzz?a=b",
         "/timeout/slow1000", "/up/reset", "/up/s503", "/say"]
FORMATS = ["text", "json", "omit", "headers", "nobody", "status", "grpcstatus"]
MALFORMED = lines("GET /direct HTTP/1.1", "Host: a", "Content-Length: x")
LOGS = ["codes", "runtimecodes", "flags", "oneflag", "grpc", "health", "traced", "half", "header", "types",
        "notypes", "metadata"]

# A 204 has no content: a client that knows that would read a body as the next response.
NO_CONTENT = dict(departs="Envoy sends what its formats make of a 204's body; RFC 9110 section 15.3.5 knows none",
                  instead="HTTP/1.1 204", departs_in=("reply",))


def depart(path, form=""):
    """Whether a format gives the answer to this path a body that it must not have."""
    return NO_CONTENT if path == "/empty" and form in ("json", "text", "omit", "headers") else {}


CASES = [case(f"{on} {path}", on, get(path), **depart(path, on)) for on in ("mapped", "json", "text") for path in PATHS]
CASES += [case(f"{on} head {path}", on, get(path, method="HEAD"), heads=True)
          for on in ("mapped", "json") for path in ("/direct", "/zzz", "/say")]
CASES += [case(f"{on} grpc {path}", on, post(path, "", *GRPC)) for on in ("mapped", "json", "text") for path in PATHS]
CASES += [case(f"{on} malformed", on, MALFORMED) for on in ("mapped", "json", "text")]
CASES += [case(f"{on} no host", on, lines("GET /direct HTTP/1.1")) for on in ("mapped", "json")]
CASES += [case(f"{on} http/1.0", on, lines("GET /direct HTTP/1.0", "Host: a")) for on in ("mapped", "json")]
CASES += [case(f"format {form} {path}", "mapped", get(path, f"x-format: {form}"),
               **({} if form == "json" else depart(path, form)))
          for form in FORMATS for path in ("/direct", "/typed", "/nohealthy", "/redirect", "/empty", "/say")]
CASES += [case(f"grpc format {form} {path}", "mapped", post(path, "", f"x-format: {form}", *GRPC))
          for form in FORMATS for path in ("/direct", "/nohealthy")]
CASES += [case(f"grpc head format {form}", "mapped", get("/nohealthy", f"x-format: {form}", *GRPC, method="HEAD"),
               heads=True) for form in ("text", "json")]
CASES += [
    case("flag and header", "mapped", get("/nohealthy", "x-a: 1")),
    case("flag and other header", "mapped", get("/refused", "x-b: 1")),
    case("flag without header", "mapped", get("/nohealthy")),
    case("header without flag", "mapped", get("/direct", "x-a: 1")),
    case("too soon", "mapped", get("/direct", "x-format: dur")),
    case("late", "mapped", get("/timeout/slow1000", "x-format: dur")),
    case("log type", "mapped", get("/direct", "x-format: logtype")),
    case("grpc status by http status", "mapped", get("/nohealthy", "x-format: grpc")),
    case("grpc status that differs", "mapped", get("/direct", "x-format: grpc")),
    case("sampled", "mapped", get("/direct", "x-format: all")),
    case("never", "mapped", get("/direct", "x-format: none")),
    case("health checker", "mapped", get("/direct", "x-format: all", "user-agent: Envoy/HC")),
    h2case("http/2 mapped", "mapped", lambda c: c.get("/zzz")),
    h2case("http/2 json", "json", lambda c: c.get("/nohealthy")),
    h2case("http/2 json format", "mapped", lambda c: c.get("/nohealthy", ("x-format", "json"))),
]
CASES += [case(f"log {on} {path}", on, get(path)) for on in LOGS
          for path in ("/direct", "/nohealthy", "/zzz", "/up/s200", "/up/s503")]
CASES += [case(f"log {on} malformed", on, MALFORMED) for on in LOGS]
CASES += [
    case("log slow", "slow", get("/timeout/slow1000")),
    case("log fast", "slow", get("/direct")),
    case("log grpc ok", "grpc", post("/up/grpc", "", *GRPC)),
    case("log grpc local", "grpc", post("/zzz", "", *GRPC)),
    case("log grpc unavailable", "grpc", post("/nohealthy", "", *GRPC)),
    case("log health check", "health", get("/direct", "user-agent: Envoy/HC", "x-envoy-internal: true")),
    case("log forced trace", "traced", get("/direct", "x-envoy-force-trace: true", "x-forwarded-for: 10.0.0.1")),
    case("log both headers", "header", get("/direct", "x-a: 1", "x-b: 1")),
    case("log one header", "header", get("/direct", "x-a: 1")),
]
