"""h2spec: every case that real Envoy passes must pass here.

What Envoy passes is written in h2spec_envoy.json; `python with_h2spec.py ENVOY`
writes it anew.
"""
import json
import re
import sys
import tempfile
import xml.etree.ElementTree as xml

from peers import HERE, Peers

EXPECTED = HERE / "h2spec_envoy.json"
# Its answer waits for the whole request, so no case races with it.
PATH = "/echo"


def results(peers, port, *sections):
    """Case -> 'passed', 'failed' or 'skipped', as h2spec judges the proxy."""
    h2spec = peers.tool("h2spec")
    report = f"{peers.scratch}/h2spec.xml"
    peers.output([h2spec, "-h", "127.0.0.1", "-p", port, "-P", PATH, "-o", "2", "-j", report, *sections], 300)
    with open(report, encoding="utf-8", errors="replace") as written:
        text = re.sub(r"[^\t\n\r -\ud7ff]|&#x?[0-9A-Fa-f]+;", "?", written.read())
    found = {}
    for suite in xml.fromstring(text.partition("?>")[2]).iter("testsuite"):
        seen = {}
        for case in suite.iter("testcase"):
            # h2spec names its sections and not its cases apart
            name = f"{case.get('package')}: {case.get('classname')}"
            seen[name] = seen.get(name, 0) + 1
            if seen[name] > 1:
                name += f" ({seen[name]})"
            failed = case.find("failure") is not None or case.find("error") is not None
            found[name] = "failed" if failed else \
                "skipped" if case.find("skipped") is not None else "passed"
    return found


def run(peers):
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))
    port = peers.proxy("echo.yaml").ports["main"]
    found = results(peers, port)
    peers.check(len(found) >= len(expected), f"h2spec ran only {len(found)} of {len(expected)} cases")
    wanted = [name for name, verdict in expected.items() if verdict == "passed"]
    for name in wanted:
        peers.equal(found.get(name), "passed", name)


def main():
    with tempfile.TemporaryDirectory() as scratch:
        peers = Peers("h2spec", sys.argv[1], scratch)
        try:
            port = peers.proxy("echo.yaml").ports["main"]
            runs = [results(peers, port) for _ in range(3)]
        finally:
            peers.stop()
    # passed only if passed every time
    found = {name: min((r.get(name, "failed") for r in runs),
                       key=["failed", "skipped", "passed"].index) for name in runs[0]}
    EXPECTED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    verdicts = list(found.values())
    print({v: verdicts.count(v) for v in sorted(set(verdicts))})


if __name__ == "__main__":
    main()
