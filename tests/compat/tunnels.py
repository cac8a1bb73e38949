"""Upstreams at the far end of a tunnel: raw TCP, and HTTP/2 with extended CONNECT.

All of them hold the same conversation once the tunnel stands (also `origin.py` does, after a 101
or a CONNECT): whatever comes is echoed, a few words are orders.

    close   say bye and close            reset   cut
    half    say bye, end the own direction only, go on reading
    (end of what comes)   say eof and close
"""
import re
import socket
import struct
import threading
import time

import hpack
from h2wire import ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, \
    WINDOW_UPDATE, frame


class Over(Exception):
    """The conversation has ended."""


def answer(heard, say, end, cut):
    """One piece of the conversation; `end` closes the own direction."""
    if heard == b"reset":
        cut()
        raise Over
    if heard in (b"close", b"half", b""):
        time.sleep(0.05)      # so that what was said before is read by itself
        say(b"eof" if heard == b"" else b"bye")
        end()
        if heard != b"half":
            raise Over
        return
    say(b"<" + heard + b">" if len(heard) < 1000 else heard)


def without_ports(heard):
    """A PROXY protocol header in words, and what follows it; ports differ from run to run."""
    if heard.startswith(b"PROXY "):
        line, _, rest = heard.partition(b"\r\n")
        return re.sub(rb"\d{4,5}", b"port", line) + b"|" + rest
    if heard.startswith(b"\r\n\r\n\0\r\nQUIT\n"):
        size = int.from_bytes(heard[14:16], "big")
        return b"PROXY2 " + heard[12:14].hex().encode() + b" %d " % size + heard[16:24].hex().encode() \
            + b"|" + heard[16 + size:]
    return heard


def converse(sock, buffered=b""):
    """The conversation over a socket; returns when it has ended."""
    def cut():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    ended = []

    def end():
        ended.append(True)
        sock.shutdown(socket.SHUT_WR)

    def say(data):
        if not ended:
            sock.sendall(data)

    try:
        if buffered:
            answer(buffered, say, end, cut)
        while True:
            answer(without_ports(sock.recv(65536)), say, end, cut)
    except (Over, OSError):
        pass


def served(serve):
    """A listening socket; each connection is given to `serve` in a thread."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def one(sock):
        sock.settimeout(30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock:
            try:
                serve(sock)
            except OSError:
                pass

    def accept():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener


class Http2:
    """One HTTP/2 connection from a proxy. CONNECT and POST /tunnel open tunnels."""

    def __init__(self, sock, extended, seen):
        self.sock, self.seen = sock, seen
        self.decoder, self.block, self.buffered = hpack.Decoder(), b"", b""
        self.tunnels, self.ended = set(), set()
        settings = struct.pack(">HI", 8, 1) if extended else b""
        self.send(frame(SETTINGS, 0, 0, settings))

    def send(self, data):
        self.sock.sendall(data)

    def take(self, size):
        while len(self.buffered) < size:
            more = self.sock.recv(65536)
            if not more:
                raise OSError("closed")
            self.buffered += more
        piece, self.buffered = self.buffered[:size], self.buffered[size:]
        return piece

    def run(self):
        self.take(len(PREFACE))
        while True:
            head = self.take(9)
            payload = self.take(int.from_bytes(head[:3], "big"))
            self.frame(head[3], head[4], int.from_bytes(head[5:], "big") & 0x7fffffff, payload)

    def frame(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == HEADERS:
            self.head(stream, self.decoder.decode(payload), flags & END_STREAM)
        elif kind == DATA and payload:
            grow = struct.pack(">I", len(payload))
            self.send(frame(WINDOW_UPDATE, 0, 0, grow) + frame(WINDOW_UPDATE, 0, stream, grow))
        if kind == DATA and stream in self.tunnels:
            if payload:
                self.heard(stream, payload)
            if flags & END_STREAM:
                self.heard(stream, b"")

    def heard(self, stream, payload):
        def end():
            self.ended.add(stream)
            self.send(frame(DATA, END_STREAM, stream))

        def say(data):
            if stream not in self.ended:
                self.send(frame(DATA, 0, stream, data))

        try:
            answer(payload, say, end,
                   lambda: self.send(frame(RST_STREAM, 0, stream, struct.pack(">I", 8))))
        except Over:
            self.tunnels.discard(stream)

    def reply(self, stream, status, end, *more):
        flags = END_HEADERS | (END_STREAM if end else 0)
        self.send(frame(HEADERS, flags, stream, hpack.encode([(":status", status), ("x-origin", "2"), *more])))

    def head(self, stream, fields, ended):
        fields = list(fields)
        # the order of pseudo headers means nothing
        ordered = sorted(f for f in fields if f[0][0] == ":") + [f for f in fields if f[0][0] != ":"]
        text = "\n".join(f"{n}: {v}" for n, v in ordered)
        self.seen.append((text.encode("latin-1"), b"END" if ended else b""))
        named = dict(fields)
        path, method = named.get(":path", ""), named[":method"]
        status = re.search(r"s(\d{3})\b", path) or re.match(r"s(\d{3})", named.get(":authority", ""))
        if status:
            self.reply(stream, status.group(1), False, ("content-length", "4"))
            self.send(frame(DATA, END_STREAM, stream, b"body"))
        elif method == "CONNECT" or path.endswith("tunnel"):
            self.tunnels.add(stream)
            self.reply(stream, "200", False)
            if ended:
                self.heard(stream, b"")
        else:
            self.reply(stream, "200", True)


class Tunnels:
    """Far ends of one proxy: ports by name."""

    def __init__(self, seen):
        self.listeners = {"raw": served(converse),
                          "up2": served(lambda sock: Http2(sock, True, seen).run()),
                          "plain2": served(lambda sock: Http2(sock, False, seen).run())}

    @property
    def names(self):
        return {name: listener.getsockname()[1] for name, listener in self.listeners.items()}

    def stop(self):
        for listener in self.listeners.values():
            listener.close()
