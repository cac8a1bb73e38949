"""HTTP/2 towards clients: requests, resets, and every kind of broken frame."""
import struct

import hpack
from case import h2case
from h2wire import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING,
                    PRIORITISED, PRIORITY, PREFACE, PUSH_PROMISE, RST_STREAM, SETTINGS,
                    WINDOW_UPDATE, fields, frame)

# Envoy ends a connection without a word where nuncio tells why, as RFC 9113 section 5.4.1 wants;
# everything but the frames on the wire is compared.
WHY = "Envoy closes without GOAWAY"


def goaway(code="PROTOCOL_ERROR", last=0, more="", **options):
    return {"departs": WHY, "departs_in": ("reply",), **options,
            "instead": f"connection: GOAWAY {code} last stream {last}\n{more}"}


def reset_and_goaway(**options):
    """h2 resets the stream of a malformed message before nuncio ends the connection."""
    return goaway(last=1, more="stream 1\nRST_STREAM PROTOCOL_ERROR\n", departs_stats={"http2.tx_reset": 1},
                  **options)


def moved(*more):
    """The stats of a connection that nuncio closes and Envoy keeps."""
    prefix = "http.main.downstream_cx_"
    return {prefix + "destroy_local": 1, prefix + "destroy_remote": -1, prefix + "protocol_error": 1, **dict(more)}


GRPC = [("content-type", "application/grpc"), ("te", "trailers")]


def simple(name, path="/up/echo", *more, on="main", **kw):
    return h2case(name, on, lambda c: c.get(path, *more, **kw), loose="")


def head_only(name, header_fields, on="main", end=True, **options):
    """A request made of exactly these fields, and a good one behind it."""
    def script(c):
        c.preface()
        c.headers(1, header_fields, end)
        c.wait(1, within=1.0)
        if not c.going_away:
            c.headers(3, fields("/direct"))
            c.wait(3, within=1.0)
    return h2case(name, on, script, **options)


def malformed(name, header_fields):
    return head_only(name, header_fields, **reset_and_goaway())


def unreadable(name, more):
    """h2 cannot take such a field in at all, and ends the connection by itself."""
    return head_only(name, fields() + [more], **goaway())


def frames(name, *sent, on="main", **options):
    """Preface, then raw frames in reads of their own, then see what becomes of the connection."""
    def script(c):
        c.preface()
        for raw in sent:
            c.send(raw)
            c.read(lambda: False, 0.05 if len(sent) > 1 else 0)
        c.wait(1, within=1.0)
    return h2case(name, on, script, **options)


def wrong_frame(name, *sent, **options):
    return frames(name, *sent, **goaway(**options))


def uncompressed(name, sent):
    return wrong_frame(name, sent, code="COMPRESSION_ERROR",
                       departs="the stream never began, so GOAWAY does not name it as Envoy's does")


def post(c, body=b"hello", path="/up/echo", *more, end=True):
    c.preface()
    c.headers(1, fields(path, "POST", *more), end=False)
    c.data(1, body, end)


def post_and_wait(path, body, *more):
    def script(c):
        post(c, body, path, *more)
        c.wait(1)
    return script


def upload_larger_than_window(c):
    c.preface()
    c.headers(1, fields("/up/s200", "POST"), end=False)
    for _ in range(4):
        c.data(1, b"z" * 16000, end=False)
    c.data(1, b"z" * 100)
    c.wait(1)


def trailers_sent(c):
    post(c, end=False)
    c.headers(1, [("x-trailer", "v")])
    c.wait(1)


def trailers_with_pseudo_header(c):
    post(c, end=False)
    c.read(lambda: False, 0.1)
    c.headers(1, [(":path", "/x")])
    c.wait(1, within=1.0)


def trailers_without_end(c):
    post(c, end=False)
    c.read(lambda: False, 0.1)
    c.headers(1, [("x-trailer", "v")], end=False)
    c.wait(1, within=1.0)


def three_streams(c):
    c.preface()
    for stream, path in ((1, "/up/slow200"), (3, "/direct"), (5, "/up/s404")):
        c.headers(stream, fields(path))
    c.wait(1, 3, 5)


def over_the_stream_limit(c):
    c.preface()
    for stream in (1, 3, 5):
        c.headers(stream, fields("/up/slow200"))
    c.wait(1, 3, 5, within=2.0)


def reset_by_client(c):
    c.preface()
    c.headers(1, fields("/up/slow300"))
    c.wait_head(99, within=0.1)
    c.send(frame(RST_STREAM, 0, 1, struct.pack(">I", 8)))
    c.headers(3, fields("/direct"))
    c.wait(3)


def small_window(c):
    c.feed_windows = False
    c.preface((4, 10))
    c.headers(1, fields("/up/s200"))
    c.wait(1, within=0.3)
    c.send(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 100)))
    c.wait(1)


def head_in_continuations(c):
    block = hpack.encode(fields("/up/echo", "GET", ("x-long", "v" * 50)))
    c.preface()
    c.send(frame(HEADERS, END_STREAM, 1, block[:20]) + frame(CONTINUATION, 0, 1, block[20:40])
           + frame(CONTINUATION, END_HEADERS, 1, block[40:]))
    c.wait(1)


def continuation_interrupted(c):
    block = hpack.encode(fields())
    c.preface()
    c.send(frame(HEADERS, END_STREAM, 1, block[:20]) + frame(PING, 0, 0, b"12345678"))
    c.wait(1, within=1.0)


def padded(c):
    block = hpack.encode(fields("/up/echo", "POST"))
    c.preface()
    c.send(frame(HEADERS, END_HEADERS | PADDED, 1, b"\4" + block + b"\0" * 4)
           + frame(DATA, END_STREAM | PADDED, 1, b"\3abc\0\0\0"))
    c.wait(1)


def ping(c):
    c.preface()
    c.send(frame(PING, 0, 0, b"12345678"))
    c.wait(1, within=0.3)


def client_goes_away(c):
    c.preface()
    c.headers(1, fields("/up/slow200"))
    c.send(frame(GOAWAY, 0, 0, struct.pack(">II", 0, 0)))
    c.wait(1)


def data_after_end(c):
    c.preface()
    c.headers(1, fields("/up/slow200"))
    c.read(lambda: False, 0.05)
    c.data(1, b"late")
    c.wait(1, within=1.0)


def lower_stream_id(c):
    c.preface()
    c.headers(5, fields("/direct"))
    c.wait(5)
    c.headers(3, fields("/direct"))
    c.wait(3, within=1.0)


def more_data_than_length(c):
    c.preface()
    c.headers(1, fields("/up/echo", "POST", ("content-length", "2")), end=False)
    c.data(1, b"abc")
    c.wait(1, within=1.0)


def less_data_than_length(c):
    c.preface()
    c.headers(1, fields("/up/echo", "POST", ("content-length", "5")), end=False)
    c.data(1, b"abc")
    c.wait(1, within=1.0)


def length_without_data(c):
    c.preface()
    c.headers(1, fields("/up/echo", "POST", ("content-length", "5")))
    c.wait(1, within=1.0)


def answer_before_upload_ends(c):
    post(c, b"abc", "/zzz", end=False)
    c.wait(1, within=1.0)


def window_overflow(c):
    c.preface()
    c.headers(1, fields("/up/slow300"))
    c.send(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 0x7fffffff)))
    c.wait(1, within=1.0)


def bad_preface(c):
    c.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + frame(SETTINGS, 0, 0))
    c.wait(1, within=1.0)


def no_settings(c):
    c.send(PREFACE + frame(PING, 0, 0, b"12345678"))
    c.wait(1, within=1.0)


def http1_on_h2_listener(c):
    c.send(b"GET /direct HTTP/1.1\r\nHost: a\r\n\r\n")
    c.wait(1, within=1.0)


BLOCK = hpack.encode(fields())
CASES = [
    simple("get"), simple("get with query", "/up/echo?a=b"), simple("direct response", "/direct"),
    simple("missing route", "/zzz"), simple("no healthy host", "/nohealthy"),
    simple("upstream status", "/up/s503"), simple("upstream 204", "/up/bare204"),
    simple("upstream 304", "/up/bare304"), simple("upstream chunked with trailers", "/up/chunked"),
    simple("upstream without length", "/up/nolength"), simple("upstream close", "/up/close"),
    simple("upstream cut in the body", "/up/midclose"), simple("upstream cut in a chunk", "/up/midchunk"),
    simple("upstream garbage", "/up/garbage"), simple("upstream early hints", "/up/hints"),
    simple("upstream hop-by-hop headers", "/up/hop"), simple("upstream cookies", "/up/cookies"),
    simple("large answer", "/up/big256"), simple("edge", on="edge"), simple("http2 only", on="h2only"),
    simple("cookies in crumbs", "/up/echo", ("cookie", "a=1"), ("cookie", "b=2")),
    simple("te trailers", "/up/echo", ("te", "trailers")),
    simple("authority with port", authority="h.example:80"),
    simple("scheme https without tls", scheme="https"), simple("scheme in odd words", scheme="gopher"),
    simple("expect 100-continue", "/up/echo", ("expect", "100-continue")),
    simple("grpc missing route", "/zzz", *GRPC), simple("grpc no healthy host", "/nohealthy", *GRPC),
    simple("grpc upstream 503", "/up/s503", *GRPC), simple("head over the limit", "/up/s200",
                                                           ("x-big", "a" * 62000)),
    simple("head over its own limit", "/up/s200", ("x-big", "a" * 1100), on="small"),
    simple("too many headers", "/up/s200", *((f"x-{i}", "1") for i in range(101))),
    h2case("head", "main", lambda c: (c.preface(), c.headers(1, fields("/up/echo", "HEAD")), c.wait(1))),
    h2case("post", "main", post_and_wait("/up/echo", b"hello")),
    h2case("post with length", "main", post_and_wait("/up/echo", b"hello", ("content-length", "5"))),
    h2case("post of nothing", "main", post_and_wait("/up/echo", b"")),
    h2case("grpc post", "main", post_and_wait("/up/echo", b"\0\0\0\0\0", *GRPC)),
    h2case("trailers sent", "main", trailers_sent),
    h2case("trailers with a pseudo header", "main", trailers_with_pseudo_header, **goaway(last=1)),
    h2case("trailers without end of stream", "main", trailers_without_end, **reset_and_goaway()),
    h2case("upload as large as the window", "main", upload_larger_than_window),
    h2case("three streams", "main", three_streams),
    h2case("more streams than allowed", "few", over_the_stream_limit),
    h2case("reset by the client", "main", reset_by_client),
    h2case("small receive window", "main", small_window),
    h2case("head in continuations", "main", head_in_continuations),
    h2case("continuation interrupted", "main", continuation_interrupted,
           **goaway(departs="the stream never began, so GOAWAY does not name it as Envoy's does")),
    h2case("padding", "main", padded), h2case("ping", "main", ping),
    h2case("client goes away", "main", client_goes_away,
           departs="nothing new can come: nuncio closes after the last answer, Envoy waits for the client",
           instead="connection: GOAWAY NO_ERROR last stream 1\nstream 1\nHEADERS\n:status: 200\n",
           departs_in=("reply", "end"), departs_stats={"http2.goaway_sent": 1}),
    h2case("data after end of stream", "main", data_after_end),
    h2case("lower stream id", "main", lower_stream_id,
           departs="RFC 9113 section 5.1.1 makes it an error of the connection, Envoy ignores it",
           instead="connection: GOAWAY PROTOCOL_ERROR last stream 5\nstream 5\nHEADERS\n:status: 200\n",
           departs_in=("reply", "end"), departs_stats=moved()),
    h2case("more data than content-length", "main", more_data_than_length),
    h2case("less data than content-length", "main", less_data_than_length),
    h2case("content-length without data", "main", length_without_data, **reset_and_goaway()),
    h2case("answer before the upload ends", "main", answer_before_upload_ends),
    h2case("stream window overflow", "main", window_overflow,
           departs="only the stream ends (RFC 9113 section 6.9.1); Envoy closes the connection",
           instead="stream 1\nRST_STREAM FLOW_CONTROL_ERROR\n"),
    h2case("bad preface", "main", bad_preface), h2case("no settings", "main", no_settings),
    h2case("http/1 on an http/2 listener", "h2only", http1_on_h2_listener),
    malformed("no path", fields()[:3]), malformed("no method", fields()[1:]),
    malformed("no scheme", [f for f in fields() if f[0] != ":scheme"]),
    malformed("no authority", [f for f in fields() if f[0] != ":authority"]),
    head_only("host instead of authority",
              [f for f in fields() if f[0] != ":authority"] + [("host", "h")]),
    head_only("host beside authority", fields("/up/echo", "GET", ("host", "other"))),
    malformed("empty path", fields("")), malformed("path without slash", fields("up/echo")),
    head_only("path with fragment", fields("/up/echo#x"), departs="h2 drops the fragment before anything sees it, "
              "so that routes and upstream agree; Envoy answers 400", instead="stream 1\nHEADERS\n:status: 200\n"),
    malformed("path with space", fields("/a b")),
    malformed("path twice", fields() + [(":path", "/x")]),
    malformed("pseudo header after header", [("x", "1")] + fields()),
    head_only("unknown pseudo header", [(":odd", "1")] + fields(), **goaway()),
    malformed("response pseudo header", [(":status", "200")] + fields()),
    unreadable("upper-case name", ("X-Upper", "1")),
    unreadable("empty name", ("", "1")),
    unreadable("name with space", ("a b", "1")),
    unreadable("value with newline", ("a", "1\r\nb: 2")),
    unreadable("value with nul", ("a", "1\0")),
    head_only("value with space around", fields() + [("a", " 1 ")]),
    malformed("connection header", fields() + [("connection", "close")]),
    malformed("keep-alive header", fields() + [("keep-alive", "5")]),
    malformed("proxy-connection header", fields() + [("proxy-connection", "k")]),
    malformed("transfer-encoding header", fields() + [("transfer-encoding", "chunked")]),
    malformed("upgrade header", fields() + [("upgrade", "foo")]),
    malformed("te other than trailers", fields() + [("te", "gzip")]),
    malformed("two content-lengths", fields("/up/echo", "POST", ("content-length", "1"),
                                            ("content-length", "2"))),
    malformed("bad content-length", fields("/up/echo", "POST", ("content-length", "x"))),
    head_only("unknown method", fields("/up/echo", "FOO")),
    head_only("method with space", fields("/up/echo", "A B"), **goaway()),
    head_only("connect", [(":method", "CONNECT"), (":authority", "a:80")]),
    head_only("malformed, connection survives when told", fields() + [("connection", "close")], on="lenient"),
    head_only("unreadable, connection ends although told otherwise", fields() + [("X-Upper", "1")], on="lenient",
              departs="h2 ends the connection for a field that it cannot take in; Envoy resets the stream",
              instead="connection: GOAWAY PROTOCOL_ERROR last stream 0\n"),
    wrong_frame("even stream id", frame(HEADERS, END_HEADERS | END_STREAM, 2, BLOCK)),
    wrong_frame("headers on stream 0", frame(HEADERS, END_HEADERS | END_STREAM, 0, BLOCK)),
    frames("data on stream 0", frame(DATA, END_STREAM, 0, b"x")),
    frames("data on idle stream", frame(DATA, END_STREAM, 1, b"x")),
    wrong_frame("reset of idle stream", frame(RST_STREAM, 0, 1, b"\0\0\0\0")),
    wrong_frame("reset on stream 0", frame(RST_STREAM, 0, 0, b"\0\0\0\0")),
    frames("reset of wrong size", frame(HEADERS, END_HEADERS, 1, BLOCK), frame(RST_STREAM, 0, 1, b"\0")),
    frames("wrong frame right behind a request", frame(HEADERS, END_HEADERS, 1, BLOCK) + frame(RST_STREAM, 0, 1, b"\0"),
           departs="h2 hands a request up after all that came with it, so the log knows no more than that it came",
           instead="connection: GOAWAY FRAME_SIZE_ERROR last stream 1\n", departs_in=("log",),
           departs_stats={"http.main.rq_total": -1}),
    wrong_frame("window update of 0 on the connection", frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0")),
    wrong_frame("window update of 0 on a stream", frame(HEADERS, END_HEADERS, 1, BLOCK),
                frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\0"), last=1, departs_in=("reply", "log"),
                departs="Envoy closes without GOAWAY, and its log calls the error unknown"),
    wrong_frame("connection window overflow", frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), code="FLOW_CONTROL_ERROR"),
    frames("settings of wrong size", frame(SETTINGS, 0, 0, b"\0\0\0")),
    wrong_frame("settings on a stream", frame(SETTINGS, 0, 1)),
    frames("settings ack with payload", frame(SETTINGS, ACK, 0, b"\0\1\0\0\0\0")),
    wrong_frame("settings push of 2", frame(SETTINGS, 0, 0, struct.pack(">HI", 2, 2))),
    wrong_frame("settings window too large", frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31))),
    wrong_frame("settings frame size too small", frame(SETTINGS, 0, 0, struct.pack(">HI", 5, 100))),
    frames("ping of wrong size", frame(PING, 0, 0, b"123")),
    wrong_frame("ping on a stream", frame(PING, 0, 1, b"12345678")),
    wrong_frame("priority on stream 0", frame(PRIORITY, 0, 0, b"\0\0\0\0\0"), departs_in=("reply", "end"),
                departs="RFC 9113 section 6.3 makes it an error of the connection, Envoy ignores it",
                departs_stats=moved()),
    frames("priority of wrong size", frame(PRIORITY, 0, 1, b"\0")),
    frames("priority on itself", frame(PRIORITY, 0, 1, b"\0\0\0\1\0"), departs_in=("reply",),
           departs="h2 resets the stream as RFC 7540 section 5.3.1 has it, Envoy ignores it",
           instead="stream 1\nRST_STREAM PROTOCOL_ERROR\n", departs_stats={"http2.tx_reset": 1}),
    frames("priority inside headers",
           frame(HEADERS, END_HEADERS | END_STREAM | PRIORITISED, 1, b"\0\0\0\0\x10" + BLOCK)),
    wrong_frame("push promise from a client", frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + BLOCK)),
    wrong_frame("goaway on a stream", frame(GOAWAY, 0, 1, b"\0" * 8)),
    frames("lone continuation", frame(CONTINUATION, END_HEADERS, 1, BLOCK)),
    frames("unknown frame type", frame(0x77, 0, 1, b"xyz")
           + frame(HEADERS, END_HEADERS | END_STREAM, 1, BLOCK)),
    frames("padding longer than the frame", frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1,
                                                  b"\xff" + BLOCK)),
    uncompressed("bad hpack index", frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\x80\x01")),
    uncompressed("truncated hpack", frame(HEADERS, END_HEADERS | END_STREAM, 1, BLOCK[:-3])),
    uncompressed("hpack table size too large", frame(HEADERS, END_HEADERS | END_STREAM, 1,
                                                     b"\x3f\xe1\xff\x03" + BLOCK)),
    frames("frame larger than allowed", frame(DATA, 0, 1, b"z" * 20_000_000)),
]
