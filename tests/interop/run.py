#!/usr/bin/env python3
"""Drives other people's clients and servers against a proxy.

    run.py --subject target/quick/nuncio [--only curl] [--strict]

One module per peer beside this file.  A missing tool skips its module with the
reason printed, or fails with --strict.  Exit status 1 if anything failed.
"""
import argparse
import importlib
import shutil
import sys
import tempfile
import time
import traceback

from peers import Failed, Missing, Peers

SCRIPTS = ["curl", "h2load", "wrk", "nginx", "grpc_python", "grpcurl", "ghz", "h2spec",
           "websockets"]


def one(name, options):
    """'passed', 'skipped' or 'failed', and a line about it."""
    scratch = tempfile.mkdtemp(prefix=f"nuncio-interop-{name}-")
    peers = Peers(name, options.subject, scratch)
    started = time.monotonic()
    try:
        importlib.import_module(f"with_{name}").run(peers)
        verdict = "failed" if peers.failures else "passed"
        note = f"{peers.passed} checks passed, {len(peers.failures)} failed"
    except Missing as missing:
        verdict, note = ("failed" if options.strict else "skipped"), str(missing)
    except Exception as error:              # a script that breaks is a failure, not the end
        if not isinstance(error, Failed):
            traceback.print_exc()
        verdict, note = "failed", f"{type(error).__name__}: {error}"
    finally:
        peers.stop()
        shutil.rmtree(scratch, ignore_errors=True)
    return verdict, f"interop {name}: {verdict}, {note} ({time.monotonic() - started:.1f} s)"


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--subject", required=True)
    p.add_argument("--only", choices=SCRIPTS)
    p.add_argument("--strict", action="store_true", help="a missing tool is a failure")
    options = p.parse_args()
    counts = {"passed": 0, "skipped": 0, "failed": 0}
    for name in [options.only] if options.only else SCRIPTS:
        verdict, line = one(name, options)
        counts[verdict] += 1
        print(line, flush=True)
    print("interop: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
