"""Options of the connection manager: who the client is, what is ignored, when things end."""
import struct

from case import ATTEMPT, Await, Pause, case, get, h2case, lines
from h2wire import WINDOW_UPDATE, fields, frame

XFCC = "X-Forwarded-Client-Cert: By=a;Hash=b"
UPGRADE = ["Connection: keep-alive, Upgrade, x-hop", "x-hop: 1"]


def stalled(path, opens_after=None):
    """A client whose window is closed, for good or for a while."""
    def script(c):
        c.feed_windows = False
        c.preface((4, 0))
        c.headers(1, fields(path))
        c.wait(1, within=1.2 if opens_after is None else opens_after)
        if opens_after is not None:
            c.send(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1000)))
            c.wait(1)
    return script


def ips(on):
    """One listener, all that a client may say about itself."""
    return [case(f"{on}: {said or 'nothing'}", on, get("/up/echo", *said))
            for said in ([], ["X-Forwarded-For: 10.1.1.1"], ["X-Forwarded-For: 8.8.8.8"],
                         ["X-Forwarded-For: 8.8.8.8, 10.1.1.1"], ["X-Forwarded-For: 1.1.1.1, 8.8.8.8,9.9.9.9"],
                         ["X-Forwarded-For: nonsense"], ["X-Forwarded-For: 9.1.1.1, 127.0.0.2"],
                         ["X-Real-IP: 10.2.2.2"], ["X-Real-IP: 8.8.4.4:77"], ["X-Real-IP: [::1]:80"],
                         ["X-Real-IP: nonsense"], ["X-Real-IP: 8.8.4.4", "X-Forwarded-For: 10.1.1.1"])]


CASES = [
    *[c for on in ("xff", "xffhops", "xffappend", "xffcidrs", "xffuntrusted", "custom", "customtrusted",
                   "customreject", "customodd", "both") for c in ips(on)],
    *[case(f"ignored upgrade: {upgrade}", "ignore", get("/up/echo", *UPGRADE, f"Upgrade: {upgrade}"))
      for upgrade in ("foo", "FOO", "TLS/1.0", "foo, tls/1.2", "websocket", "foo, websocket", "", "foo,")],
    case("ignored upgrade, nothing else in connection", "ignore",
         get("/up/echo", "Connection: Upgrade", "Upgrade: foo")),
    *[case(f"client certificate header, {on}: {len(said)}", on, get("/up/echo", *said))
      for on in ("xfcc", "xfccforward", "xfccset") for said in ([], [XFCC])],
    *[case(f"early mutation, {on}: {said}", on, get("/up/echo", *said))
      for on in ("early", "earlyedge")
      for said in (["x-a: 1", "x-gone: 1"], ["x-early: mine", "x-request-id: theirs", "x-no-a: 1", "X-NO-B: 2"],
                   ["X-Forwarded-For: 8.8.8.8", "x-forwarded-proto: https", "x-envoy-max-retries: 3"])],
    case("too old, safely", "safe", get("/direct"), Await(), Pause(0.6), get("/direct"), Await(2), get("/direct"),
         responses=3, within=1.0),
    case("too old, safely, before the first request", "safe", Pause(0.6), get("/up/s200"), within=1.0),
    case("too old, safely, in mid request", "safe", get("/up/slow600"), within=1.5),
    case("too old, safely, head half there", "safe", "GET /direct HT", Pause(0.6), "TP/1.1\r\nHost: a\r\n\r\n",
         within=1.0),
    case("too old in mid request", "unsafe", get("/up/slow600"), within=1.5,
         departs="Envoy waits for drain_timeout after the last answer; the client closes no sooner for that",
         departs_in=("end", "stats"), instead="HTTP/1.1 200"),
    h2case("window never opens", "flush", stalled("/direct")),
    h2case("window never opens for an upstream's answer", "flush", stalled("/up/s200")),
    h2case("window opens in time", "flush", stalled("/direct", 0.2)),
    h2case("window opens late, idle timeout is shorter", "noflush", stalled("/direct", 0.8)),
    *[case(f"proxy-status, {on}: {path}", on, get(path), loose=ATTEMPT)
      for on in ("status", "statusall", "statusbare", "statusserver")
      for path in ("/direct", "/zzz", "/up/s503", "/empty", "/gone", "/dead", "/up/close", "/up/reset", "/up/garbage",
                   "/late/slow600")],
    case("proxy-status of an error", "status", "BAD\r\n\r\n"),
    case("proxy-status of a refused path", "statusall", get("/up/a#b")),
]
