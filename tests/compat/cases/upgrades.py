"""Upgrades and CONNECT: how a tunnel begins, what it carries, and how it ends."""
import struct

from case import Await, HalfClose, Pause, case, get, h2case, lines, post, request
from h2wire import RST_STREAM, fields, frame

WS = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: a", "Sec-WebSocket-Version: 13")
SOON = 0.15


def ws(path="/h1/ws", *more, token="websocket", connection="Upgrade", **kw):
    return get(path, f"Connection: {connection}", f"Upgrade: {token}", "Sec-WebSocket-Key: a", *more, **kw)


def upgrade(name, on, path="/h1/ws", *then, head=None, **options):
    """An upgrade, then what is said in the tunnel, piece by piece."""
    return case(name, on, head or ws(path), *spoken(then), **{"linger": 0.5, "any_close": True, **options})


def spoken(pieces):
    steps = [Await(), Pause(SOON)]
    for piece in pieces:
        steps += [piece, Pause(SOON)]
    return steps


def connect(target, *more, version="1.1", host=None):
    return lines(f"CONNECT {target} HTTP/{version}", f"Host: {host or target}", *more)


def tunnel(name, on, target, *then, head=None, **options):
    """CONNECT, then what is said in the tunnel. Its answer has no length, so it is all head."""
    usual = {"linger": 0.5, "any_close": True, "heads": True}
    return case(name, on, head or connect(target), *spoken(then), **{**usual, **options})


def extended(path, token="websocket", authority="h.example"):
    return [(":method", "CONNECT"), (":protocol", token), (":scheme", "http"), (":authority", authority),
            (":path", path), ("sec-websocket-version", "13")]


def plain(target):
    return [(":method", "CONNECT"), (":authority", target)]


def h2(name, on, head, *then, end=False, within=1.0, **options):
    """A tunnel in an HTTP/2 stream: pieces are data, None ends the stream, numbers reset it."""
    def script(c):
        c.preface()
        c.read(lambda: False, 0.05)
        c.headers(1, head, end)
        c.wait_head(1)
        c.read(lambda: False, SOON)
        for piece in then:
            if piece is None:
                c.data(1, b"", True)
            elif isinstance(piece, int):
                c.send(frame(RST_STREAM, 0, 1, struct.pack(">I", piece)))
            else:
                c.data(1, piece, False)
            c.read(lambda: False, SOON)
        c.wait(1, within=within)
    return h2case(name, on, script, **options)


def departs(why, instead="", **options):
    return {"departs": why, "instead": instead, **options}


NOMINATED = departs("headers that Connection names end here (RFC 9110 section 7.6.1); Envoy forwards them",
                    departs_in=("upstream",))
BODY = departs("a request with a body is no upgrade: where it ends must not be a matter of opinion", "HTTP/1.1 200 OK")
REFUSED = departs("a refused upgrade ends its connection, on which the client may have sent anything; Envoy keeps it "
                  "open where the upstream offers another", "HTTP/1.1 426 Upgrade Required")
NO_LENGTH = departs("a 2xx to CONNECT has no length (RFC 9110 section 9.3.6)", "HTTP/1.1 200 OK\r\ncontent-type",
                    departs_in=("reply",))
BOTH = departs("CONNECT is no upgrade, and upgrade headers concern one hop", departs_in=("upstream",))
HALF = departs("the end of the client's direction reaches the upstream; Envoy keeps it to itself",
               "stream 1\nHEADERS\n:status: 200")
STAYS = departs("one refused upgrade does not end the other streams of its connection",
                "stream 1\nHEADERS\n:status: 403",
                departs_in=("reply",))
COMPLETE = departs("the response is complete, and NO_ERROR says so (RFC 9113 section 8.1)",
                   "stream 1\nHEADERS\n:status: 503", departs_in=("reply",))
UNOFFERED = departs("Envoy closes without GOAWAY", "connection: GOAWAY PROTOCOL_ERROR last stream 1\nstream 1\n"
                    "RST_STREAM PROTOCOL_ERROR", departs_in=("reply",), departs_stats={"http2.tx_reset": 1})
NOT_OFFERED = departs("extended CONNECT is not sent to a peer that does not offer it (RFC 8441 section 3)",
                      "HTTP/1.1 502 Bad Gateway")

CASES = [
    # HTTP/1 to HTTP/1
    upgrade("websocket", "ws", "/h1/ws", "ping", "pong", "close", origin_view=True),
    upgrade("websocket the client ends", "ws", "/h1/ws", "ping", HalfClose),
    upgrade("websocket the client resets", "ws", "/h1/ws", "ping", within=0.5),
    upgrade("websocket the upstream half-closes", "ws", "/h1/ws", "half", "ping", linger=2.0),
    upgrade("websocket the upstream resets", "ws", "/h1/ws", "reset"),
    upgrade("websocket refused with a body", "ws", "/h1/s403", linger=2.0),
    upgrade("websocket refused with 200", "ws", "/h1/echo", linger=2.0, origin_view=True),
    upgrade("websocket refused in chunks", "ws", "/h1/chunked", linger=2.0),
    upgrade("websocket refused without length", "ws", "/h1/nolength", linger=2.0),
    upgrade("websocket refused with 204", "ws", "/h1/bare204", linger=2.0),
    upgrade("websocket redirected by the upstream", "ws", "/h1/redirect", linger=2.0),
    upgrade("websocket upstream closes at once", "ws", "/h1/close", linger=2.0),
    upgrade("websocket upstream resets at once", "ws", "/h1/reset", linger=2.0),
    upgrade("websocket upstream sends garbage", "ws", "/h1/garbage", linger=2.0),
    upgrade("websocket bare 101", "ws", "/h1/wsbare", "ping", "close"),
    upgrade("websocket 101 for another protocol", "ws", "/h1/wsother", "ping", "close"),
    upgrade("websocket 101 with data behind it", "ws", "/h1/wsearly", "ping", "close"),
    case("websocket data sent with the request", "ws", ws() + "early", Await(), Pause(SOON), "close", linger=0.5,
         any_close=True, origin_view=True),
    case("websocket data sent before the answer", "ws", ws("/h1/wsslow"), Pause(0.1), "early", Await(),
         Pause(SOON), "close", linger=0.5, any_close=True),
    case("websocket data sent with the request and refused", "ws", ws("/h1/s403") + "early", linger=2.0),
    upgrade("websocket closed by the upstream after 101", "ws", "/h1/wsraw"),
    upgrade("websocket and interim response", "ws", "/h1/continue", linger=2.0),
    upgrade("websocket connection list", "ws", head=ws(connection="keep-alive, Upgrade"), origin_view=True),
    upgrade("websocket in capitals", "ws", "", "close", head=ws(token="WebSocket", connection="UPGRADE"),
            origin_view=True),
    upgrade("websocket nominated headers", "ws", "", "close", head=ws("/h1/ws", "X-A: 1", connection="Upgrade, X-A"),
            origin_view=True, **NOMINATED),
    upgrade("websocket and connection close", "ws", "", "close", head=ws(connection="close, Upgrade"),
            origin_view=True),
    upgrade("websocket with expect", "ws", "", "close", head=ws("/h1/ws", "Expect: 100-continue")),
    upgrade("websocket post", "ws", "", "close", head=ws("/h1/ws", method="POST"), origin_view=True),
    upgrade("websocket with length zero", "ws", "", "close", head=ws("/h1/ws", "Content-Length: 0"), origin_view=True),
    case("upgrade without connection", "ws", get("/h1/echo", "Upgrade: websocket")),
    case("connection upgrade without upgrade", "ws", get("/h1/echo", "Connection: Upgrade")),
    case("upgrade to h2c", "ws", get("/h1/echo", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                                     "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")),
    case("upgrade to h2c and websocket", "ws", ws("/h1/ws", token="h2c, websocket"), linger=0.5, origin_view=True),
    case("two tokens", "ws", ws("/h1/ws", token="foo, websocket"), linger=2.0, origin_view=True),
    case("two tokens the other way", "ws", ws("/h1/ws", token="websocket, foo"), linger=2.0, origin_view=True),
    case("unknown type", "ws", ws("/h1/ws", token="foo"), linger=2.0),
    case("type disabled by the manager", "ws", ws("/h1/ws", token="spdy"), linger=2.0),
    upgrade("type enabled by the route", "ws", "", "close", head=ws("/spdy/ws", token="spdy"), origin_view=True),
    case("type disabled by the route", "ws", ws("/off/ws"), linger=2.0),
    case("not enabled", "plain", ws("/h1/ws"), linger=2.0),
    upgrade("enabled by the route alone", "plain", "/on/ws", "close"),
    case("to a direct response", "ws", ws("/direct"), linger=2.0),
    case("to a redirect", "ws", ws("/redirect"), linger=2.0),
    case("to no route", "ws", ws("/nowhere"), linger=2.0),
    case("to a direct response, not enabled", "plain", ws("/direct"), linger=2.0),
    case("to no route, not enabled", "plain", ws("/nowhere"), linger=2.0),
    case("to no virtual host, not enabled", "ws2", ws("/nowhere", token="spdy", host="none"), linger=2.0),
    case("upgrade with a body", "ws", post("/h1/echo", "abc", *WS), linger=2.0, origin_view=True, **BODY),
    case("upgrade with a chunked body", "ws", request("/h1/echo", "Transfer-Encoding: chunked", *WS, method="POST")
         + "3\r\nabc\r\n0\r\n\r\n", linger=2.0, origin_view=True, **BODY),
    case("upgrade to two things in two lines", "ws", get("/h1/ws", "Connection: Upgrade", "Upgrade: websocket",
                                                        "Upgrade: foo"), linger=2.0),
    case("upgrade over tls only", "ws2", ws("/h1/ws", host="tls.example"), linger=2.0),
    case("upgrade of a path to normalize", "ws2", ws("/h1/../h1/ws"), linger=2.0),
    case("refused upgrade keeps its upgrade header", "ws", ws("/h1/s426up"), linger=2.0, **REFUSED),
    case("websocket over the pending limit", "ws", ws("/pending/ws"), linger=2.0),
    case("generic upgrade answered with 200", "ws", ws("/spdy/echo", token="spdy"), linger=2.0, origin_view=True),
    case("generic upgrade with data, answered with 200", "ws", ws("/spdy/echo", token="spdy") + "early", linger=2.0),
    case("generic upgrade answered by route timeout", "ws", ws("/spdy/slow1000", token="spdy"), linger=2.0),
    case("upgrade in http/1.0", "ws", lines("GET /h1/ws HTTP/1.0", "Host: h", *WS), linger=2.0),
    upgrade("websocket to a dead upstream", "ws", "/dead/ws", linger=2.0),
    upgrade("websocket retried", "ws", "/retry/ws", linger=2.0),
    upgrade("websocket over the request limit", "ws", "/one/ws", linger=2.0),
    upgrade("websocket idle", "ws", "/idle/ws", "ping", linger=2.0),
    upgrade("websocket idle before the answer", "ws", "/idle/slow900", linger=2.0),
    upgrade("websocket and route timeout", "ws", "/timeout/ws", "ping", Pause(0.4), "ping", "close"),
    upgrade("websocket route timeout before the answer", "ws", "/timeout/slow600", linger=2.0),
    upgrade("websocket longest duration", "ws", "/short/ws", "ping", Pause(0.6), linger=2.0),
    upgrade("websocket idle by the manager", "ported", "/h1/ws", "ping", linger=2.0),
    upgrade("websocket carries much", "ws", "/h1/ws", *["x" * 60000] * 3, "close"),
    case("a request after a refused upgrade", "ws", ws("/h1/s403"), Await(), get("/direct"), responses=2),

    # CONNECT over HTTP/1
    tunnel("connect to http/1", "ws", "tunnel.example:80", "ping", "close", origin_view=True),
    tunnel("connect the client ends", "ws", "tunnel.example:80", "ping", HalfClose),
    tunnel("connect the upstream half-closes", "ws", "tunnel.example:80", "half", "ping", linger=2.0),
    tunnel("connect the upstream resets", "ws", "tunnel.example:80", "reset"),
    case("connect refused by the upstream", "ws", connect("s403.example:80"), linger=2.0),
    tunnel("connect answered with a length", "ws", "lengthy.example:80", "ping", "close"),
    case("connect data sent with the request", "ws", connect("tunnel.example:80") + "early", Await(),
         Pause(SOON), "close", linger=0.5, any_close=True, heads=True),
    case("connect not enabled", "plain", connect("off.example:80"), linger=2.0),
    tunnel("connect enabled by the route", "plain", "tunnel.example:80", "close"),
    case("connect disabled by the route", "ws", connect("off.example:80"), linger=2.0),
    case("connect to no host", "ws", connect("nowhere.example:80"), linger=2.0),
    case("connect to no host, not enabled", "ws2", connect("nowhere.example:80"), linger=2.0),
    case("connect where only websocket is enabled", "ws2", connect("off.example:80"), linger=2.0),
    case("connect matched by prefix", "ws", connect("prefix.example:80"), linger=2.0),
    case("connect to a direct response", "ws", connect("direct.example:80"), linger=2.0, heads=True, **NO_LENGTH),
    case("connect without port", "ws", connect("tunnel.example"), linger=2.0),
    case("connect with another host header", "ws", connect("tunnel.example:80", host="other"), linger=0.5,
         heads=True, origin_view=True),
    case("connect with a body", "ws", connect("tunnel.example:80", "Content-Length: 3") + "abc", linger=2.0),
    case("connect to a path", "ws", lines("CONNECT /h1/ws HTTP/1.1", "Host: h"), linger=2.0),
    case("connect that also upgrades", "ws", connect("tunnel.example:80", *WS), linger=0.5, heads=True,
         origin_view=True, **BOTH),
    tunnel("connect with ports stripped", "ported", "tunnel.example:80", "close", origin_view=True),
    tunnel("connect idle", "ported", "tunnel.example:80", "ping", linger=2.0),
    case("get on the connect route", "ws", get("/x", host="tunnel.example:80")),

    # CONNECT that ends here
    tunnel("terminated connect", "ws", "raw.example:80", "ping", "close"),
    tunnel("terminated connect the client ends", "ws", "raw.example:80", "ping", HalfClose),
    tunnel("terminated connect the upstream half-closes", "ws", "raw.example:80", "half", "ping", linger=2.0),
    tunnel("terminated connect the upstream resets", "ws", "raw.example:80", "reset"),
    tunnel("terminated connect with early data", "ws", "", "close",
           head=connect("raw.example:80") + "early"),
    tunnel("terminated connect with proxy protocol 1", "ws", "proxy1.example:80", "ping", "close"),
    tunnel("terminated connect with proxy protocol 2", "ws", "proxy2.example:80", "ping", "close"),
    case("terminated connect to a dead host", "ws", connect("dead.example:80"), linger=2.0),
    case("terminated post", "ws", post("/x", "hello", host="post.example"), heads=True, linger=1.0),
    case("terminated get where post is allowed", "ws", get("/x", host="post.example"), linger=1.0),

    # HTTP/2 downstream
    h2("extended connect to http/1", "ws", extended("/h1/ws"), b"ping", b"close", origin_view=True),
    h2("extended connect the client ends", "ws", extended("/h1/ws"), b"ping", None, **HALF),
    h2("extended connect the client resets", "ws", extended("/h1/ws"), b"ping", 8),
    h2("extended connect the upstream half-closes", "ws", extended("/h1/ws"), b"half", b"ping"),
    h2("extended connect the upstream resets", "ws", extended("/h1/ws"), b"reset"),
    h2("extended connect refused", "ws", extended("/h1/s403")),
    h2("extended connect answered with 200", "ws", extended("/h1/echo"), origin_view=True),
    h2("extended connect unknown type", "ws", extended("/h1/ws", "foo"), **STAYS),
    h2("extended connect to no route", "ws", extended("/nowhere")),
    h2("extended connect to a dead upstream", "ws", extended("/dead/ws"), **COMPLETE),
    h2("extended connect to http/2", "ws", extended("/h2/tunnel"), b"ping", b"close", origin_view=True),
    h2("extended connect to http/2 the client ends", "ws", extended("/h2/tunnel"), b"ping", None),
    h2("extended connect to http/2 the upstream half-closes", "ws", extended("/h2/tunnel"), b"half", b"ping"),
    h2("extended connect to http/2 the upstream resets", "ws", extended("/h2/tunnel"), b"reset"),
    h2("extended connect to http/2 refused", "ws", extended("/h2/s403")),
    h2("extended connect where it is not offered", "plain", extended("/on/ws"), **UNOFFERED),
    h2("extended connect with the end", "ws", extended("/h1/ws"), end=True),
    h2("extended connect idle", "ws", extended("/idle/ws"), b"ping"),
    h2("connect stream to http/1", "ws", plain("tunnel.example:80"), b"ping", b"close", origin_view=True),
    h2("connect stream to http/2", "ws", plain("h2.example:80"), b"ping", b"close", origin_view=True),
    h2("connect stream terminated", "ws", plain("raw.example:80"), b"ping", b"close"),
    h2("connect stream terminated the client ends", "ws", plain("raw.example:80"), b"ping", None),
    h2("connect stream terminated the upstream resets", "ws", plain("raw.example:80"), b"reset"),
    h2("connect stream the client resets", "ws", plain("tunnel.example:80"), b"ping", 8),
    h2("connect stream where it is not enabled", "plain", plain("off.example:80"), **STAYS),
    h2("connect stream where only the route enables it", "plain", plain("tunnel.example:80"), b"close"),
    h2("connect stream refused", "ws", plain("s403.example:80")),
    h2("connect stream terminated as post", "ws", fields("/x", "POST", authority="post.example"), b"ping", b"close"),

    # HTTP/2 upstream
    upgrade("websocket to http/2", "ws", "/h2/tunnel", "ping", "close", origin_view=True),
    upgrade("websocket to http/2 the client ends", "ws", "/h2/tunnel", "ping", HalfClose),
    upgrade("websocket to http/2 the upstream half-closes", "ws", "/h2/tunnel", "half", "ping", linger=2.0),
    upgrade("websocket to http/2 the upstream resets", "ws", "/h2/tunnel", "reset"),
    upgrade("websocket to http/2 refused", "ws", "/h2/s403", linger=2.0),
    upgrade("websocket to http/2 that offers none", "ws", "/plain2/tunnel", "ping", linger=2.0, **NOT_OFFERED),
    tunnel("connect to http/2", "ws", "h2.example:80", "ping", "close", origin_view=True),
    tunnel("connect to http/2 the client ends", "ws", "h2.example:80", "ping", HalfClose),
    tunnel("connect to http/2 the upstream resets", "ws", "h2.example:80", "reset"),
    case("connect to http/2 refused", "ws", connect("s405.example:80"), linger=2.0),
]
