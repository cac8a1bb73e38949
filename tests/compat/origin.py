"""The scripted upstream: the last segment of the path says how it behaves.

Runs in threads inside the harness, one instance per proxy under test, so that
counters (flaky) and logs never mix.  Speaks raw HTTP/1.1 over sockets on
purpose: half of what it does is wrong, and no HTTP library would do it.

    python3 origin.py PORT      runs one alone, for trying things by hand
"""
import re
import socket
import struct
import sys
import threading
import time

import tunnels

BEHAVIOURS = {}


def behaviour(pattern):
    def register(function):
        BEHAVIOURS[re.compile(pattern + r"\Z")] = function
        return function
    return register


class Close(Exception):
    """The behaviour is done with the connection."""


class Exchange:
    """One request as it arrived, and the socket to answer on."""

    def __init__(self, origin, sock, head, body, rest=b""):
        self.origin, self.sock, self.head, self.body, self.rest = origin, sock, head, body, rest
        first = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        self.method = first[0]
        self.path = first[1].split("?")[0] if len(first) > 1 else ""

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def answer(self, status, body=b"", *headers, reason="OK"):
        fixed = [f"HTTP/1.1 {status} {reason}", "Content-Type: text/plain",
                 f"Content-Length: {len(body)}", "X-Origin: A", *headers]
        head = "\r\n".join(fixed).encode("latin-1") + b"\r\n\r\n"
        self.send(head + (b"" if self.method == "HEAD" else body))

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Close

    def close_soon(self):
        # the proxy must have read what was sent before the close reaches it
        time.sleep(0.1)
        raise Close


@behaviour("echo")
def echo(x):
    x.answer(200, x.head + b"\n" + x.body)


@behaviour(r"s(?P<code>\d+)")
def status(x, code):
    x.answer(int(code), b"status s" + code.encode(), reason="X")


@behaviour(r"bare(?P<code>\d+)")
def bare_status(x, code):
    """A status with neither body nor length, as 204 and 304 have."""
    x.send(f"HTTP/1.1 {code} X\r\nX-Origin: A\r\n\r\n")


@behaviour(r"slow(?P<ms>\d+)")
def slow(x, ms):
    time.sleep(int(ms) / 1000)
    x.answer(200, b"slow")


@behaviour(r"slowbody(?P<ms>\d+)")
def slow_body(x, ms):
    x.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
    time.sleep(int(ms) / 1000)
    x.send("later")


@behaviour("reset")
def reset(x):
    x.reset()


@behaviour("close")
def close(_):
    raise Close


@behaviour("garbage")
def garbage(x):
    x.send("GARBAGE\r\n\r\n")
    x.close_soon()


@behaviour("halfhead")
def half_head(x):
    x.send("HTTP/1.1 200 OK\r\nContent-Le")
    x.close_soon()


@behaviour("midclose")
def close_in_body(x):
    x.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    x.close_soon()


@behaviour("midchunk")
def close_in_chunk(x):
    x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n20\r\nha")
    x.close_soon()


@behaviour("midreset")
def reset_in_body(x):
    x.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    time.sleep(0.1)
    x.reset()


@behaviour(r"bighdr(?P<kib>\d+)")
def big_header(x, kib):
    x.answer(200, b"x", "X-Big: " + "a" * (int(kib) * 1024))


@behaviour(r"manyhdr(?P<count>\d+)")
def many_headers(x, count):
    x.answer(200, b"x", *(f"X-H{i}: a" for i in range(int(count))))


@behaviour(r"big(?P<kib>\d+)")
def big_body(x, kib):
    x.answer(200, b"0123456789abcdef" * (int(kib) * 64))


@behaviour("chunked")
def chunked(x):
    x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-t\r\n\r\n"
           "5\r\nhello\r\n0\r\nX-T: v\r\n\r\n")


@behaviour("chunkext")
def chunk_extension(x):
    x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
           "5;a=b\r\nhello\r\n000\r\n\r\n")


@behaviour("badchunk")
def bad_chunk(x):
    x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n")
    x.close_soon()


@behaviour("http10")
def http_1_0(x):
    x.send("HTTP/1.0 200 OK\r\n\r\nbody until close")
    raise Close


@behaviour("nolength")
def no_length(x):
    x.send("HTTP/1.1 200 OK\r\n\r\nbody until close")
    raise Close


@behaviour("continue")
def interim_100(x):
    x.send("HTTP/1.1 100 Continue\r\n\r\n")
    x.answer(200, b"after100")


@behaviour("processing")
def interim_102(x):
    x.send("HTTP/1.1 102 Processing\r\n\r\n")
    x.answer(200, b"after102")


@behaviour("hints")
def interim_103(x):
    x.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    x.answer(200, b"after103")


@behaviour("switch")
def unasked_101(x):
    x.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
    x.close_soon()


@behaviour("own")
def own_headers(x):
    x.answer(200, b"ok", "Server: origin/1", "Date: Mon, 01 Jan 2001 00:00:00 GMT",
             "Connection: keep-alive", "Keep-Alive: timeout=5", "Via: 1.1 foo")


@behaviour("hop")
def hop_by_hop(x):
    x.answer(200, b"ok", "Connection: x-gone, close", "X-Gone: 1", "Keep-Alive: timeout=5",
             "Proxy-Connection: k", "Upgrade: foo", "TE: trailers", "X-Kept: 1")
    raise Close


@behaviour("xenvoy")
def x_envoy_headers(x):
    x.answer(200, b"ok", "x-envoy-upstream-canary: true", "x-envoy-upstream-service-time: 77",
             "x-envoy-decorator-operation: op", "x-envoy-overloaded: true",
             "x-envoy-ratelimited: true", "x-envoy-attempt-count: 9",
             "x-envoy-degraded: 1", "x-envoy-immediate-health-check-fail: 1")


@behaviour("flaky")
def flaky(x):
    good = x.origin.count(x.path) % 3 == 0
    x.answer(200 if good else 503, b"flaky", reason="X")


@behaviour(r"grpcstatus(?P<code>\d+)")
def grpc_status(x, code):
    x.answer(200, b"", f"grpc-status: {code}")


@behaviour("redirect")
def redirect(x):
    x.answer(302, b"", "Location: http://x/echo", reason="Found")


@behaviour(r"to(?P<code>3\d\d)")
def redirect_to(x, code):
    location = x.head.split(b" ")[1].decode("latin-1").partition("?")[2]
    x.answer(code, b"moved", f"Location: {location}", "X-Copied: yes", reason="X")


@behaviour("flakyredirect")
def flaky_redirect(x):
    if x.origin.count(x.path) % 2:
        x.answer(503, b"", reason="X")
    else:
        x.answer(302, b"", "Location: http://x/echo", reason="Found")


@behaviour("retryafter")
def ratelimited(x):
    x.answer(503, b"", "x-envoy-ratelimited: true", reason="X")


@behaviour("twolengths")
def two_lengths(x):
    x.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc")
    x.close_soon()


@behaviour("clte")
def length_and_chunked(x):
    x.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
           "3\r\nabc\r\n0\r\n\r\n")
    x.close_soon()


@behaviour("extra")
def more_than_length(x):
    x.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokEXTRA")
    x.close_soon()


@behaviour("badstatus")
def bad_status(x):
    x.send("HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n")


@behaviour("nulheader")
def nul_in_header(x):
    x.send(b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n")
    x.close_soon()


@behaviour("fold")
def obs_fold(x):
    x.send("HTTP/1.1 200 OK\r\nX-Fold: a\r\n b\r\nContent-Length: 2\r\n\r\nok")


@behaviour("lf")
def bare_lf(x):
    x.send("HTTP/1.1 200 OK\nX-Lf: a\nContent-Length: 2\n\nok")


@behaviour("spacecolon")
def space_before_colon(x):
    x.send("HTTP/1.1 200 OK\r\nX-Sp : a\r\nContent-Length: 2\r\n\r\nok")
    x.close_soon()


@behaviour("cookies")
def cookies(x):
    x.answer(200, b"ok", "Set-Cookie: a=1", "Set-Cookie: b=2", "Vary: x", "vary: y")


@behaviour("http2ish")
def http_version_2(x):
    x.send("HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
    x.close_soon()


def upgrade(x, token):
    """Agrees to an upgrade and holds the conversation of `tunnels.py`."""
    x.send(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {token}\r\n"
           "X-Origin: A\r\n\r\n")
    tunnels.converse(x.sock, x.rest)
    raise Close


@behaviour("ws")
def websocket(x):
    upgrade(x, "websocket")


@behaviour("wsother")
def another_protocol(x):
    upgrade(x, "other")


@behaviour("wsbare")
def switch_without_headers(x):
    x.send("HTTP/1.1 101 Switching Protocols\r\n\r\n")
    tunnels.converse(x.sock, x.rest)
    raise Close


@behaviour("s426up")
def offers_another_upgrade(x):
    x.answer(426, b"other", "Connection: Upgrade", "Upgrade: other", reason="Upgrade Required")


@behaviour("wsearly")
def switch_and_speak(x):
    x.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
    tunnels.converse(x.sock, x.rest)
    raise Close


@behaviour("wsraw")
def switch_before_reading(x):
    """What follows the head is noted; then the connection closes."""
    x.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    x.close_soon()


@behaviour("wsslow")
def switch_slowly(x):
    time.sleep(0.3)
    upgrade(x, "websocket")


@behaviour(r"(tunnel|h1|post)\.example:\d+")
def connect(x):
    x.send("HTTP/1.1 200 OK\r\nX-Origin: A\r\n\r\n")
    tunnels.converse(x.sock, x.rest)
    raise Close


@behaviour("lengthy.example:80")
def connect_with_length(x):
    x.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n")
    tunnels.converse(x.sock, x.rest)
    raise Close


@behaviour(r"s(?P<code>\d+)\.example:\d+")
def connect_refused(x, code):
    x.answer(int(code), b"refused", reason="X")


@behaviour("early")
def early(x):
    """Answers from the head alone; `read_body` below leaves the body unread."""
    x.answer(200, b"early")


class Origin:
    """One listening origin; `port` is chosen by the kernel."""

    def __init__(self, port=0):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.seen = []            # raw heads, newest last
        self.counts = {}
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def count(self, path):
        with self.lock:
            self.counts[path] = self.counts.get(path, 0) + 1
            return self.counts[path]

    def stop(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        sock.settimeout(30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffered = b""
        try:
            while True:
                head, buffered = read_until(sock, buffered, b"\r\n\r\n")
                if head is None:
                    return
                key = head.split(b" ", 2)[1].split(b"?")[0].rsplit(b"/", 1)[-1]
                body = b""
                if key != b"early":
                    body, buffered = read_body(sock, head, buffered)
                with self.lock:
                    self.seen.append((head, body))
                act(Exchange(self, sock, head, body, buffered), key.decode("latin-1"))
                if re.search(rb"(?im)^connection:.*\bclose\b", head):
                    return
        except (Close, OSError, ValueError, IndexError):
            pass
        finally:
            sock.close()


def act(exchange, key):
    for pattern, function in BEHAVIOURS.items():
        match = pattern.match(key)
        if match:
            function(exchange, **match.groupdict())
            return
    exchange.answer(200, b"ok A " + exchange.path.encode("latin-1"))


def read_until(sock, buffered, mark):
    while mark not in buffered:
        data = sock.recv(65536)
        if not data:
            return None, buffered
        buffered += data
    head, rest = buffered.split(mark, 1)
    return head, rest


def read_body(sock, head, buffered):
    """The body as raw bytes (chunk framing and trailers included) and the rest."""
    length = re.search(rb"(?im)^content-length:\s*(\d+)", head)
    if re.search(rb"(?im)^transfer-encoding:.*chunked", head):
        raw = b""
        while True:
            line, buffered = read_until(sock, buffered, b"\r\n")
            if line is None:
                raise Close
            raw += line + b"\r\n"
            size = int(line.split(b";")[0], 16)
            if size == 0:
                break
            while len(buffered) < size + 2:
                buffered += must_read(sock)
            raw, buffered = raw + buffered[:size + 2], buffered[size + 2:]
        while True:
            line, buffered = read_until(sock, buffered, b"\r\n")
            if line is None:
                raise Close
            raw += line + b"\r\n"
            if line == b"":
                return raw, buffered
    wanted = int(length.group(1)) if length else 0
    while len(buffered) < wanted:
        buffered += must_read(sock)
    return buffered[:wanted], buffered[wanted:]


def must_read(sock):
    data = sock.recv(65536)
    if not data:
        raise Close
    return data


if __name__ == "__main__":
    alone = Origin(int(sys.argv[1]))
    print(f"origin on 127.0.0.1:{alone.port}")
    threading.Event().wait()
