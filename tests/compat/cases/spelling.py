"""How header names are spelt, towards either side, whoever they come from."""
from case import Await, case, get, lines, post, request

ODD = ["X-FoO: 1", "x-fOo: 2", "x_a-b: 3", "1x-9y: 4", "COOKIE: a=b", "CONNECTION: Keep-Alive", "TE: TRAILERS"]
CHUNKED = "POST %s/echo HTTP/1.1\r\nHOST: a\r\nTransfer-ENCODING: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-TraiL: v\r\n\r\n"
LISTENERS = ("lower", "proper", "keep", "keepothers")

CASES = [
    *[case(f"{on} to {to}", on, lines(f"GET /{to}/echo HTTP/1.1", "HOST: h", *ODD))
      for on in LISTENERS for to in ("up", "proper", "keep")],
    *[case(f"{on} to {to} with trailers", on, CHUNKED % f"/{to}")
      for on in LISTENERS for to in ("up", "proper", "keep")],
    *[case(f"{on} answered by {to} in chunks", on, get(f"/{to}/chunked"))
      for on in LISTENERS for to in ("up", "proper", "keep")],
    *[case(f"{on} answered by {to} with a reason", on, get(f"/{to}/s299"))
      for on in LISTENERS for to in ("up", "keep")],
    case("two requests of different case", "keep", lines("GET /up/echo HTTP/1.1", "HOST: h", "X-A: 1"), Await(),
         lines("GET /up/echo HTTP/1.1", "host: h", "x-A: 1"), responses=2),
    case("names that the answer did not have", "keep", get("/keep/hop")),
    case("informational answers", "keep", get("/keep/hints")),
    case("100-continue of the proxy", "proper", post("/up/echo", "abc", "Expect: 100-continue")),
    *[case(f"local reply of {on} to {path}", on, get(path)) for on in LISTENERS
      for path in ("/direct", "/zzz", "/nohealthy")],
    *[case(f"error of {on}", on, "BAD\r\n\r\n") for on in LISTENERS],
    *[case(f"head of {on}", on, get("/keep/s200", method="HEAD"), heads=True) for on in LISTENERS],
    case("folded", "keep", lines("GET /up/echo HTTP/1.1", "HOST: a", "X-A: a", " b", "X-B: 1")),
    case("put without length", "keep", request("/keep/echo", method="PUT")),
]
