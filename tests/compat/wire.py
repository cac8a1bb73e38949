"""Speaks raw HTTP/1 to a proxy and reports exactly what came back.

Parses responses only as far as needed to know when they end; the bytes are
kept as they came.
"""
import re
import socket
import time

from case import Await, HalfClose, Pause


class Ports:
    """Hands out client ports, each once, so that a log line names its case."""

    def __init__(self):
        self.used = set()

    def connect(self, port, within):
        while True:
            sock = socket.socket()
            sock.bind(("127.0.0.1", 0))
            own = sock.getsockname()[1]
            if own not in self.used:
                break
            sock.close()
        self.used.add(own)
        sock.settimeout(within)
        sock.connect(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock, own


class Response:
    """Where one final response (and the 1xx before it) ends in the buffer."""

    def __init__(self, end, closes, body):
        self.end, self.closes, self.body = end, closes, body


def next_response(data, start, headless, ended):
    """The response beginning at `start`, or None if it is not complete yet."""
    at = start
    while True:
        stop = data.find(b"\r\n\r\n", at)
        if stop < 0:
            return None
        head, at = data[at:stop + 2], stop + 4
        status = re.match(rb"HTTP/1\.[01] (\d{3})", head)
        code = int(status.group(1)) if status else 0
        if not 100 <= code < 200 or code == 101:
            break
    closes = bool(re.search(rb"(?im)^connection:.*\bclose\b", head))
    if headless or code in (101, 204, 304):
        return Response(at, closes, 0)
    if re.search(rb"(?im)^transfer-encoding:.*chunked", head):
        end, size = chunked_end(data, at)
        return None if end is None else Response(end, closes, size)
    length = re.search(rb"(?im)^content-length:\s*(\d+)", head)
    if length:
        size = int(length.group(1))
        return Response(at + size, closes, size) if len(data) >= at + size else None
    return Response(len(data), True, len(data) - at) if ended else None


def chunked_end(data, at):
    total = 0
    while True:
        stop = data.find(b"\r\n", at)
        if stop < 0:
            return None, 0
        try:
            size = int(data[at:stop].split(b";")[0], 16)
        except ValueError:
            return None, 0
        at = stop + 2
        if size == 0:
            while True:
                stop = data.find(b"\r\n", at)
                if stop < 0:
                    return None, 0
                if stop == at:
                    return at + 2, total
                at = stop + 2
        total += size
        at += size + 2


class Talk:
    """One client connection: sends the steps, collects the answer."""

    def __init__(self, sock, case):
        self.sock, self.case = sock, case
        self.data, self.end = b"", "open"
        self.cursor, self.done, self.closes, self.body_bytes = 0, 0, False, 0

    def run(self):
        started = time.monotonic()
        deadline = started + self.case.within
        for step in self.case.steps:
            if isinstance(step, bytes):
                self._send(step)
            elif isinstance(step, Pause):
                time.sleep(step.seconds)
            elif isinstance(step, Await):
                self._read_until(step.responses, deadline)
            elif isinstance(step, HalfClose) or step is HalfClose:
                self._half_close()
        self._read_until(self.case.responses or 99, deadline if self.case.responses
                         else time.monotonic() + (self.case.linger or 0.5))
        elapsed = time.monotonic() - started
        if self.case.responses:
            linger = self.case.linger
            if linger is None:
                linger = 3.0 if self.closes else 0.08
            self._read_until(99, time.monotonic() + linger)
        return elapsed

    def _half_close(self):
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.end = "reset"

    def _send(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass        # the reading side will tell how the connection ended

    def _read_until(self, responses, deadline):
        while self.end == "open":
            self._parse()
            if self.done >= responses:
                return
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
                self._parse()
                return
            self.data += more

    def _parse(self):
        while self.cursor < len(self.data):
            found = next_response(self.data, self.cursor, self.case.heads, self.end != "open")
            if found is None:
                return
            self.cursor, self.done = found.end, self.done + 1
            self.closes = self.closes or found.closes
            self.body_bytes += found.body
