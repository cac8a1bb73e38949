"""Answers that the proxy writes itself, for HTTP, HEAD and gRPC clients."""
from case import case, get, lines, post

GRPC = ["content-type: application/grpc", "te: trailers"]
REASONS = ["/nohealthy", "/nocluster", "/refused", "/blackhole", "/zzz", "/direct",
           "/timeout/slow1000", "/up/reset", "/up/close", "/up/garbage", "/up/halfhead"]

CASES = [case(f"get {path}", "main", get(path)) for path in REASONS]
CASES += [case(f"head {path}", "main", get(path, method="HEAD"), heads=True) for path in REASONS]
CASES += [case(f"grpc {path}", "main", post(path, "", *GRPC)) for path in REASONS]
CASES += [
    case("grpc upstream 503", "main", post("/up/s503", "", *GRPC)),
    case("grpc with charset", "main", post("/zzz", "", "content-type: application/grpc; x=y")),
    case("post to a dead cluster", "main", post("/refused", "abc")),
    case("post to a reset", "main", post("/up/reset", "abc")),
    case("large post to a dead cluster", "main", post("/refused", "z" * 100_000)),
    case("connection survives a local reply", "main", get("/nohealthy") + get("/direct"), responses=2),
    case("accept header does not matter", "main", get("/nohealthy", "accept: application/json")),
    case("malformed keeps the stream error rule", "streamerror",
         lines("GET /up/echo HTTP/1.1", "Host: a", "Content-Length: x")),
    case("missing host keeps the stream error rule", "streamerror",
         lines("GET /up/echo HTTP/1.1") + get("/direct"), responses=2, within=1.0),
    case("fragment keeps the stream error rule", "streamerror",
         get("/direct#x") + get("/direct"), responses=2, within=1.0),
]
