"""Takes out of an observation what may rightly differ between two runs.

Dates that are now, generated ids, ports, this machine's address, durations.
Nothing else: a header in another order or one byte more stays visible.
"""
import email.utils
import hashlib
import re
import socket
import time

from wire import next_response

UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
DATE = re.compile(r"(?im)^(date: )(.+?)(\r?)$")
SERVICE_TIME = re.compile(r"(?im)^(x-envoy-upstream-service-time: )\d+")
LENGTH = re.compile(r"(?im)^(content-length: )(\d+)")
RUN = re.compile(r"(.)\1{59,}")


def own_address():
    """The address this machine calls its own; Envoy puts it into headers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))      # nothing is sent
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


class Masks:
    def __init__(self, proxy):
        # longest first, so that one port is not taken for a part of another
        named = {**{p: f"<port {n}>" for n, p in proxy.ports.items()},
                 **{p: f"<port {n}>" for n, p in proxy.around.names.items()}}
        self.ports = [(re.compile(rf"(?<=[:_]){port}\b"), name) for port, name in named.items()]
        self.address = own_address()

    def text(self, text, client_port=None):
        for pattern, name in self.ports:
            text = pattern.sub(name, text)
        if client_port:
            text = re.sub(rf"(?<=:){client_port}\b", "<client port>", text)
        if self.address != "127.0.0.1":
            text = text.replace(self.address, "<own address>")
        text = UUID.sub("<uuid>", text)
        return RUN.sub(lambda m: f"<{m.group(1)} x {len(m.group(0))}>", text)

    def head(self, text, client_port=None):
        text = DATE.sub(lambda m: m.group(1) + now_or_same(m.group(2)) + m.group(3), text)
        return self.text(SERVICE_TIME.sub(r"\1<ms>", text), client_port)

    def reply(self, data, headless=False, client_port=None):
        """Masks responses one by one; a right content-length stays right."""
        out, at = [], 0
        while at < len(data):
            found = next_response(data, at, headless, True)
            if found is None or found.end <= at:
                break
            whole = data[at:found.end]
            body = whole[len(whole) - found.body:] if found.body else b""
            chunked = b"chunked" in whole[:len(whole) - found.body].lower()
            head = self.head((whole if chunked else whole[:len(whole) - len(body)])
                             .decode("latin-1"), client_port)
            masked = "" if chunked else self.text(body.decode("latin-1"), client_port)
            if len(masked) > 4096:
                digest = hashlib.sha256(body).hexdigest()[:12]
                masked = f"<{len(body)} bytes, sha256 {digest}>"
            if body and not chunked:
                head = LENGTH.sub(lambda m: f"{m.group(1)}<{len(masked)}>"
                                  if int(m.group(2)) == len(body) else m.group(0), head)
            out.append(head + masked)
            at = found.end
        out.append(self.head(data[at:].decode("latin-1"), client_port))
        return "".join(out)

    def log(self, line, body_bytes):
        line = self.text(line)
        return re.sub(rf"\btx={body_bytes}$", "tx=<body>", line) if body_bytes else line


def now_or_same(date):
    parsed = email.utils.parsedate_to_datetime(date) if date.endswith("GMT") else None
    if parsed and abs(parsed.timestamp() - time.time()) < 60:
        return "<now>"
    return date
