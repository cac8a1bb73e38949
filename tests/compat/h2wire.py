"""Speaks HTTP/2 frames to a proxy, right or wrong, and writes down the answer.

The transcript is grouped by stream, because frames of different streams may
come in any order.  Flow-control frames, settings values and debug texts are
left out: they are tuning, not behaviour.
"""
import socket
import struct
import time

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, \
    CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITISED = 1, 1, 4, 8, 32
ERRORS = ["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
          "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
          "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"]


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + \
        struct.pack(">I", stream) + payload


def error_name(code):
    return ERRORS[code] if code < len(ERRORS) else f"error {code}"


def fields(path="/up/echo", method="GET", *more, authority="h.example", scheme="http"):
    """The usual pseudo headers and what is given."""
    return [(":method", method), (":scheme", scheme), (":authority", authority),
            (":path", path), *more]


class Stream:
    def __init__(self):
        self.lines, self.data, self.closed = [], b"", False


class Connection:
    def __init__(self, sock, case):
        self.sock, self.case = sock, case
        self.decoder = hpack.Decoder()
        self.buffered, self.end = b"", "open"
        self.streams, self.connection_lines = {}, []
        self.going_away, self.feed_windows, self.block = False, True, b""
        self.body_bytes = 0

    def run(self, script):
        started = time.monotonic()
        script(self)
        elapsed = time.monotonic() - started
        linger = self.case.linger
        if linger is None:
            linger = 2.5 if self.going_away else 0.1
        self.read(lambda: False, linger)
        sizes = [len(s.data) for s in self.streams.values() if s.data]
        self.body_bytes = sizes[0] if len(sizes) == 1 else 0
        return elapsed

    # -- sending
    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            pass          # the reading side tells how the connection ended

    def preface(self, *settings):
        pairs = b"".join(struct.pack(">HI", name, value) for name, value in settings)
        self.send(PREFACE + frame(SETTINGS, 0, 0, pairs))

    def headers(self, stream, header_fields, end=True):
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream,
                        hpack.encode(header_fields)))

    def data(self, stream, payload, end=True):
        self.send(frame(DATA, END_STREAM if end else 0, stream, payload))

    def get(self, path="/up/echo", *more, stream=1, **kw):
        """A request from preface to answer."""
        self.preface()
        self.headers(stream, fields(path, "GET", *more, **kw))
        self.wait(stream)

    # -- receiving
    def wait(self, *streams, within=None):
        """Until the given streams have ended, or the connection is going."""
        within = self.case.within if within is None else within
        self.read(lambda: all(s in self.streams and self.streams[s].closed for s in streams)
                  or self.going_away, within)

    def wait_head(self, stream, within=3.0):
        self.read(lambda: stream in self.streams and self.streams[stream].lines, within)

    def read(self, done, within):
        deadline = time.monotonic() + within
        while self.end == "open" and not done():
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self.sock.settimeout(left)
            try:
                more = self.sock.recv(65536)
            except socket.timeout:
                return
            except ConnectionResetError:
                self.end = "reset"
                return
            if not more:
                self.end = "fin"
                return
            self.buffered += more
            self._frames()

    def _frames(self):
        while len(self.buffered) >= 9:
            size = int.from_bytes(self.buffered[:3], "big")
            if self.buffered[:5] == b"HTTP/":
                self.connection_lines.append("plain text: " + self.buffered.decode("latin-1"))
                self.buffered, self.going_away = b"", True
                return
            if len(self.buffered) < 9 + size:
                return
            kind, flags = self.buffered[3], self.buffered[4]
            stream = int.from_bytes(self.buffered[5:9], "big") & 0x7fffffff
            payload, self.buffered = self.buffered[9:9 + size], self.buffered[9 + size:]
            self._frame(kind, flags, stream, payload)

    def _frame(self, kind, flags, number, payload):
        if kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK, 0))
        elif kind == PING:
            self.connection_lines.append(f"PING {'ack' if flags & ACK else 'request'}")
        elif kind == GOAWAY:
            self.going_away = True
            code = int.from_bytes(payload[4:8], "big")
            last = int.from_bytes(payload[:4], "big")
            self.connection_lines.append(f"GOAWAY {error_name(code)} last stream {last}")
        elif kind in (DATA, HEADERS, CONTINUATION, RST_STREAM):
            self._stream_frame(self.streams.setdefault(number, Stream()), kind, flags, number,
                               payload)

    def _stream_frame(self, stream, kind, flags, number, payload):
        if kind == DATA:
            stream.data += payload
            if self.feed_windows and payload:
                grow = struct.pack(">I", len(payload))
                self.send(frame(WINDOW_UPDATE, 0, 0, grow) + frame(WINDOW_UPDATE, 0, number, grow))
        elif kind == RST_STREAM:
            self._flush(stream)
            stream.lines.append("RST_STREAM " + error_name(int.from_bytes(payload, "big")))
            stream.closed = True
        else:
            self.block += payload
            if flags & END_HEADERS:
                self._flush(stream)
                stream.lines.append("HEADERS")
                stream.lines += [f"{n}: {v}" for n, v in self.decoder.decode(self.block)]
                self.block = b""
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self._flush(stream)
            stream.lines.append("END_STREAM")
            stream.closed = True

    def _flush(self, stream):
        """Data so far becomes one entry: how it was cut into frames is tuning."""
        if stream.data and not any(line.startswith("DATA") for line in stream.lines[-1:]):
            text = stream.data.decode("latin-1")
            stream.lines += [f"DATA {len(stream.data)}" if len(text) > 4096 else "DATA", *(
                [] if len(text) > 4096 else text.split("\n"))]

    def transcript(self):
        out = ["connection: " + line for line in self.connection_lines]
        for number, stream in sorted(self.streams.items()):
            if not stream.closed:
                self._flush(stream)
            length = f"content-length: {len(stream.data)}"
            out.append(f"stream {number}")
            out += ["content-length: <all data>" if line == length and stream.data else line
                    for line in stream.lines]
        return "\n".join(out)
