"""h2load over HTTP/1.1 and HTTP/2: every request must succeed."""
import re


def run(peers):
    h2load = peers.tool("h2load")
    proxy = peers.proxy("echo.yaml")
    base = f"http://127.0.0.1:{proxy.ports['main']}"
    body = f"{peers.scratch}/body"
    with open(body, "wb") as out:
        out.write(b"x" * 20_000)
    nghttp = peers.tool("nghttp")
    status, text = peers.output([nghttp, "-n", "-m", "20", f"{base}/s200", f"{base}/slow100"], 30)
    peers.equal(status, 0, f"nghttp, forty streams: {text[-200:]}")
    runs = [("h2, one connection, many streams", ["-n2000", "-c1", "-m100"], "/s200"),
            ("h2, many connections", ["-n2000", "-c16", "-m8"], "/s200"),
            ("h2, direct responses", ["-n5000", "-c8", "-m32"], "/direct"),
            ("h2, 64 KiB answers", ["-n400", "-c4", "-m10"], "/big64"),
            ("h2, uploads", ["-n400", "-c4", "-m10", "-d", body], "/echo"),
            ("h2, small windows", ["-n100", "-c2", "-m10", "-w10", "-W12"], "/big64"),
            ("h1, keep-alive", ["-n2000", "-c16", "--h1"], "/s200"),
            ("h1, 64 KiB answers", ["-n400", "-c8", "--h1"], "/big64"),
            ("h1, uploads", ["-n400", "-c8", "--h1", "-d", body], "/echo")]
    for what, options, path in runs:
        status, text = peers.output([h2load, *options, base + path], within=90)
        wanted = options[0][2:]
        said = re.search(r"requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed",
                         text)
        peers.check(status == 0 and said and said.group(3) == wanted and said.group(4) == "0",
                    f"{what}: {said.group(0) if said else text[-300:]}")
        codes = re.search(r"status codes: (\d+) 2xx", text)
        peers.equal(codes and codes.group(1), wanted, f"{what}: all 2xx")
