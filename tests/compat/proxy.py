"""One proxy process under test: ports, configuration, admin, access logs, end.

Knows nothing of cases.  Envoy and nuncio take the same command line, so one
class serves both.  Ends only the process it started, by its own handle.
"""
import http.client
import json
import os
import re
import socket
import string
import subprocess
import tempfile
import time

from origin import Origin
from tunnels import Tunnels

ROUTER = json.dumps([{"name": "envoy.filters.http.router", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}])

LOG_FORMAT = "|".join([
    "%DOWNSTREAM_DIRECT_REMOTE_PORT%", "%REQ(:METHOD)%", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH):60%",
    "%PROTOCOL%", "%RESPONSE_CODE%", "flags=%RESPONSE_FLAGS%", "%RESPONSE_FLAGS_LONG%",
    "details=%RESPONSE_CODE_DETAILS%", "term=%CONNECTION_TERMINATION_DETAILS%",
    "fail=%UPSTREAM_TRANSPORT_FAILURE_REASON%", "attempts=%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "cluster=%UPSTREAM_CLUSTER%", "route=%ROUTE_NAME%",
    "rx=%BYTES_RECEIVED%", "tx=%BYTES_SENT%"]) + "\n"


class StartFailed(Exception):
    """The proxy ended or did not become ready; the text says what it printed."""


def free_ports(count):
    """Ports that nobody uses, each another."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class Surroundings:
    """What a bootstrap refers to beside the proxy itself: upstream addresses."""

    def __init__(self):
        self.origin = Origin()
        self._refusing = socket.socket()
        self._refusing.bind(("127.0.0.1", 0))      # bound, never listening
        self._full = socket.socket()
        self._full.bind(("127.0.0.1", 0))
        self._full.listen(0)
        self._fillers = []
        for _ in range(4):                          # the accept queue is full
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(self._full.getsockname())
            self._fillers.append(filler)
        self.tunnels = Tunnels(self.origin.seen)
        self.names = {"up": self.origin.port, **self.tunnels.names, "dead": self._refusing.getsockname()[1],
                      "blackhole": self._full.getsockname()[1]}

    def stop(self):
        self.origin.stop()
        self.tunnels.stop()
        for sock in [self._refusing, self._full, *self._fillers]:
            sock.close()


class Proxy:
    def __init__(self, binary, template, scratch, name, base_id, **values):
        self.binary, self.name, self.base_id = binary, name, base_id
        self.template, self.values = template, values
        self.scratch = tempfile.mkdtemp(prefix=name + "-", dir=scratch)
        self.around = Surroundings()
        self.process = None
        self.ports = {}
        self._log_path = os.path.join(self.scratch, "stderr")

    def start(self):
        """Three tries, because a port found free may be taken a moment later."""
        for attempt in range(3):
            try:
                return self._start_once()
            except StartFailed as failure:
                self.kill()
                if attempt == 2 or "in use" not in str(failure):
                    raise

    def _start_once(self):
        text = open(self.template, encoding="utf-8").read()
        listeners = sorted(set(re.findall(r"\$p_(\w+)", text)))
        self.admin, *ports = free_ports(len(listeners) + 1)
        self.ports = {**dict(zip(listeners, ports)), "admin": self.admin}
        values = {f"p_{name}": port for name, port in self.ports.items()}
        values.update(self.around.names, **self.values, admin=self.admin, router=ROUTER,
                      access_log=self._access_log(),
                      access_file=json.dumps(json.loads(self._access_log())[0]["typed_config"]))
        path = os.path.join(self.scratch, "bootstrap.yaml")
        with open(path, "w", encoding="utf-8") as out:
            out.write(string.Template(text).substitute(values))
        command = [self.binary, "-c", path, "--concurrency", "1",
                   "--base-id", str(self.base_id)]
        with open(self._log_path, "wb") as err:
            self.process = subprocess.Popen(command, stdout=err, stderr=err, cwd=self.scratch)
        self._wait_ready()

    def _access_log(self):
        return json.dumps([{"name": "envoy.access_loggers.file", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": os.path.join(self.scratch, "access"),
            "log_format": {"text_format_source": {"inline_string": LOG_FORMAT}}}}])

    def _wait_ready(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise StartFailed(f"exit {self.process.returncode}: {self.tail()}")
            try:
                if self.get("/ready").strip() == "LIVE" and self._listening():
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise StartFailed("not ready within 20 s: " + self.tail())

    def _listening(self):
        for port in self.ports.values():
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) != 0:
                    return False
        return True

    def tail(self):
        try:
            with open(self._log_path, encoding="utf-8", errors="replace") as log:
                return log.read()[-1500:].strip()
        except OSError:
            return ""

    def get(self, path, method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=5)
        try:
            connection.request(method, path)
            return connection.getresponse().read().decode("utf-8", "replace")
        except http.client.HTTPException as odd:
            raise OSError(str(odd)) from odd
        finally:
            connection.close()

    def stats(self):
        """Counters and gauges by name; histograms and text are left out."""
        found = {}
        for line in self.get("/stats").splitlines():
            name, _, value = line.rpartition(": ")
            if value.isdigit():
                found[name] = int(value)
        return found

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """Ends the proxy as an operator would (the access log is flushed by it)."""
        if self.alive():
            try:
                self.get("/quitquitquit", "POST")
            except OSError:
                pass
            if not self._ended_within(5):
                self.process.terminate()
                self._ended_within(5)
        self.kill()
        self.around.stop()

    def _ended_within(self, seconds):
        try:
            self.process.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False

    def kill(self):
        if self.alive():
            self.process.kill()
            self.process.wait(10)

    def access_lines(self):
        """Access-log lines by the client's port."""
        by_port = {}
        try:
            with open(os.path.join(self.scratch, "access"), encoding="latin-1") as log:
                for line in log.read().splitlines():
                    port, _, rest = line.partition("|")
                    by_port.setdefault(int(port) if port.isdigit() else 0, []).append(rest)
        except OSError:
            pass
        return by_port
