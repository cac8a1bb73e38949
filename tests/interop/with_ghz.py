"""ghz (grpc-go) under some load: every call must end OK."""
import json

from grpc_side import behind_proxy
from peers import HERE


def run(peers):
    ghz = peers.tool("ghz")
    address, _ = behind_proxy(peers)
    runs = [("Unary", {"text": "hi"}, 2000, 20), ("Answers", {"text": "a", "times": 20}, 200, 10),
            ("Talk", [{"text": "a"}, {"text": "b"}, {"text": "c"}], 200, 10)]
    for method, data, count, at_once in runs:
        status, text = peers.output(
            [ghz, "--insecure", "--proto", HERE / "echo.proto", "--call",
             f"nuncio.interop.Echo.{method}", "-d", json.dumps(data), "-n", count, "-c", at_once,
             "--connections", 4, "--timeout", "20s", "-O", "json", address], 120)
        report = json.loads(text) if status == 0 else {}
        peers.equal(report.get("statusCodeDistribution"), {"OK": count}, f"{method} x {count}")
