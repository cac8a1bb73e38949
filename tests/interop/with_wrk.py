"""wrk: two seconds of keep-alive load without one error."""
import re


def run(peers):
    wrk = peers.tool("wrk")
    proxy = peers.proxy("echo.yaml")
    base = f"http://127.0.0.1:{proxy.ports['main']}"
    for path in ("/direct", "/s200", "/big64"):
        status, text = peers.output([wrk, "-t1", "-c16", "-d2s", base + path], within=30)
        done = re.search(r"(\d+) requests in", text)
        peers.check(status == 0 and done and int(done.group(1)) > 100,
                    f"{path}: {done.group(0) if done else text[-300:]}")
        peers.check("Socket errors" not in text and "Non-2xx" not in text, f"{path}: errors: {text}")
        sent = proxy.stats().get("http.main.downstream_rq_5xx", 0)
        peers.equal(sent, 0, f"{path}: downstream_rq_5xx")
