"""What every interop script needs: the proxy, the tools, counted checks.

A script is a module with run(peers) that makes checks; it never decides
whether a missing tool is an error, it raises Missing and the driver does.
"""
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "compat"))

from proxy import Proxy, free_ports     # noqa: E402


def free_port():
    return free_ports(1)[0]


class Missing(Exception):
    """A tool this script talks to is not installed."""


class Failed(Exception):
    """At least one check did not hold."""


class Peers:
    def __init__(self, name, binary, scratch):
        self.name, self.binary, self.scratch = name, binary, scratch
        self.passed, self.failures = 0, []
        self._stops = []

    # -- checks
    def check(self, holds, what):
        if holds:
            self.passed += 1
        else:
            self.failures.append(what)
            print(f"  FAILED {self.name}: {what}", flush=True)

    def equal(self, got, wanted, what):
        self.check(got == wanted, f"{what}: wanted {wanted!r}, got {got!r}")

    # -- tools and processes
    def tool(self, name):
        own = os.environ.get("NUNCIO_TOOLS", str(ROOT / "target" / "tools" / "bin"))
        found = shutil.which(name, path=own + os.pathsep + os.environ.get("PATH", "")
                             + os.pathsep + "/usr/sbin")
        if not found:
            raise Missing(f"{name} is not installed")
        return found

    def output(self, command, within=60, data=None):
        """(exit status, stdout + stderr as text) of a command bounded in time."""
        done = subprocess.run([str(c) for c in command], input=data, timeout=within,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.scratch)
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def proxy(self, template, **values):
        proxy = Proxy(self.binary, HERE / template, self.scratch, self.name,
                      random.randrange(10_000, 400_000_000), **values)
        self._stops.append(proxy.stop)
        proxy.start()
        return proxy

    def server(self, command, port, **options):
        """Starts a process and waits until it listens; ended by its own handle."""
        process = subprocess.Popen([str(c) for c in command], cwd=self.scratch, **options)
        self._stops.append(lambda: end(process))
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise Failed(f"{command[0]} ended at once with {process.returncode}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return process
            time.sleep(0.05)
        raise Failed(f"{command[0]} does not listen")

    def stop(self):
        for stop in reversed(self._stops):
            stop()


def end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


__all__ = ["Failed", "HERE", "Missing", "Peers", "ROOT", "free_port"]
