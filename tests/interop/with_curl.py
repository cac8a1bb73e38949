"""curl over HTTP/1.0, 1.1 and 2: uploads, downloads, reuse, many at once."""
import hashlib


def run(peers):
    curl = peers.tool("curl")
    proxy = peers.proxy("echo.yaml")
    base = f"http://127.0.0.1:{proxy.ports['main']}"

    def get(*options, within=30):
        return peers.output([curl, "-sS", "--max-time", "20", *options], within)

    one_mib = b"0123456789abcdef" * 65536
    path = f"{peers.scratch}/upload"
    with open(path, "wb") as out:
        out.write(one_mib)
    for version in ("--http1.1", "--http2-prior-knowledge"):
        said = version.lstrip("-")
        status, text = get(version, f"{base}/direct")
        peers.equal((status, text), (0, "direct"), f"{said}: direct response")
        status, text = get(version, "-o", "/dev/null", "-w", "%{http_code} %{size_download}",
                           f"{base}/big1024")
        peers.equal((status, text), (0, f"200 {len(one_mib)}"), f"{said}: 1 MiB down")
        target = f"{peers.scratch}/down-{said}"
        get(version, "-o", target, f"{base}/big1024")
        with open(target, "rb") as came:
            peers.equal(hashlib.sha256(came.read()).hexdigest(), hashlib.sha256(one_mib).hexdigest(),
                        f"{said}: 1 MiB down arrives whole")
        status, text = get(version, "--data-binary", f"@{path}", "-o", target, "-w", "%{http_code}",
                           f"{base}/echo")
        with open(target, "rb") as came:
            echoed = came.read()
        peers.equal((status, text), (0, "200"), f"{said}: 1 MiB up")
        peers.check(echoed.endswith(one_mib), f"{said}: 1 MiB up arrives whole")
        status, text = get(version, "-T", "-", f"{base}/echo", "-o", target, "-w", "%{http_code}")
        peers.equal((status, text), (0, "200"), f"{said}: upload of unknown length")
        status, text = get(version, "-I", f"{base}/echo", "-w", "%{http_code}", "-o", "/dev/null")
        peers.equal((status, text), (0, "200"), f"{said}: HEAD")
        status, text = get(version, "-w", "%{http_code}", "-o", "/dev/null", f"{base}/close")
        peers.equal((status, text), (0, "503"), f"{said}: upstream that closes")
        status, text = get(version, f"{base}/midclose")
        peers.check(status in (18, 92), f"{said}: a cut answer is seen as cut (curl says {status})")
        status, text = get(version, "-r", "0-3", "-w", "%{http_code}", f"{base}/echo")
        peers.check(status == 0 and "range: bytes=0-3" in text.lower(), f"{said}: range passed on")
    several(peers, get, base)
    status, text = get("--http1.0", "-w", " %{http_code}", f"{base}/direct")
    peers.equal((status, text[-3:]), (0, "426"), "http/1.0 refused by default")
    status, text = get("-H", "Expect: 100-continue", "--data-binary", f"@{path}", "-o", "/dev/null",
                       "-w", "%{http_code}", f"{base}/echo")
    peers.equal((status, text), (0, "200"), "upload after 100-continue")
    status, text = get("--http2", f"{base}/direct")
    peers.equal((status, text), (0, "direct"), "h2c upgrade is ignored, HTTP/1.1 answers")


def several(peers, get, base):
    """Many requests of one curl; HTTP/1.1 only, as curl 7.88 fails by itself on
    the second request over one HTTP/2 connection with prior knowledge."""
    urls = [part for n in range(20) for part in ("-o", "/dev/null", f"{base}/s{200 + n % 3}")]
    status, text = get("--http1.1", "-w", "%{http_code}:%{num_connects} ", *urls)
    peers.equal(status, 0, "twenty on one connection")
    peers.equal(sum(word.endswith(":0") for word in text.split()), 19, "the connection is reused")
    parallel = [part for _ in range(30) for part in ("-o", "/dev/null", f"{base}/slow50")]
    status, text = get("--http1.1", "-Z", "--parallel-max", "30", "-w", "%{http_code} ", *parallel)
    peers.equal((status, text.split().count("200")), (0, 30), "thirty at once")
