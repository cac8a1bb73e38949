"""What becomes of odd, broken and partial answers of an upstream."""
from case import case, get, post

WRONG = ["reset", "close", "garbage", "halfhead", "midclose", "midchunk", "midreset", "badchunk",
         "twolengths", "clte", "extra", "nulheader", "spacecolon", "http2ish"]
STRICTER = {
    "midchunk": ("chunks go on one by one as they came, Envoy joins those of one read", "HTTP/1.1 200"),
    "http2ish": ("a status line of another version is no HTTP/1 answer", "HTTP/1.1 502"),
}
ODD = ["http10", "nolength", "chunked", "chunkext", "fold", "lf", "continue", "processing", "hints",
       "cookies", "own", "hop", "redirect", "xenvoy", "bare204", "bare304", "bare200", "s204", "s304",
       "s200", "s299", "s404", "s499", "s500", "s503", "s599", "s600", "s999", "bighdr30", "bighdr59",
       "bighdr61", "bighdr70", "manyhdr90", "manyhdr100", "manyhdr150", "retryafter"]


def one(key, **options):
    # the upstream's closing must be over before the next case finds its connection
    return case(key, "main", get(f"/up/{key}"), within=1.5, linger=0.3, **options)


CASES = [one(key) for key in WRONG if key not in STRICTER] + [case(key, "main", get(f"/up/{key}"), within=1.5) for key in ODD]
CASES += [one(key, departs=why, instead=instead) for key, (why, instead) in STRICTER.items()]
CASES += [
    one("switch", departs="Envoy passes an unasked 101 on and both sides lose the framing",
        instead="HTTP/1.1 502"),
    one("badstatus", departs="Envoy passes on a status that is none",
        instead="HTTP/1.1 502"),
]
CASES += [case(f"head {key}", "main", get(f"/up/{key}", method="HEAD"), heads=True, within=1.5)
          for key in ("s200", "s204", "close", "reset", "s404")]
CASES += [
    case("100-continue passed on", "hundred", post("/up/continue", "ab")),
    case("102 processing", "hundred", get("/up/processing")),
    case("103 early hints", "hundred", get("/up/hints")),
    case("trailers passed on", "trailers", get("/up/chunked")),
    case("post to a close", "main", post("/up/close", "abc")),
    case("post to an upstream that never reads", "main", post("/up/early", "abc")),
    case("two on one upstream connection", "main", get("/up/s200") + get("/up/s200"), responses=2),
    case("after an upstream close", "main", get("/up/nolength") + get("/up/s200"), responses=2),
]
