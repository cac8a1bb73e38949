"""What becomes of odd, broken and partial answers of an upstream."""
from case import case, get, post

WRONG = ["reset", "close", "garbage", "halfhead", "midclose", "midchunk", "midreset", "badchunk",
         "twolengths", "clte", "extra", "badstatus", "nulheader", "spacecolon", "http2ish", "switch"]
ODD = ["http10", "nolength", "chunked", "chunkext", "fold", "lf", "continue", "processing", "hints",
       "cookies", "own", "hop", "redirect", "xenvoy", "bare204", "bare304", "bare200", "s204", "s304",
       "s200", "s299", "s404", "s499", "s500", "s503", "s599", "s600", "s999", "bighdr30", "bighdr59",
       "bighdr61", "bighdr70", "manyhdr90", "manyhdr100", "manyhdr150", "retryafter"]


def one(key):
    # what breaks a connection is told by the closing, not by a second answer
    return case(key, "main", get(f"/up/{key}"), within=1.5)


CASES = [one(key) for key in WRONG + ODD]
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
