"""nginx as the upstream, over HTTP/1.1 with short keep-alive and over HTTP/2."""
import hashlib
import http.client
import os
import re

from peers import free_port

CONFIG = """
daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; default_type application/octet-stream;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  server {{
    listen 127.0.0.1:{h1}; listen 127.0.0.1:{h2} http2;
    root {dir}/files; autoindex on; keepalive_requests {per_connection};
    location /zipped/ {{ alias {dir}/files/; gzip on; gzip_min_length 1; gzip_types *; }}
    location /moved {{ return 302 /elsewhere; }}
    location /empty {{ return 204; }}
    location /says {{ add_header x-proto $server_protocol; add_header x-host $host; return 200 "said"; }}
  }}
}}
"""
SIZES = [0, 1, 1000, 16_384, 65_536, 1_000_000, 5_000_000]


def run(peers):
    nginx = peers.tool("nginx")
    files = os.path.join(peers.scratch, "files")
    os.makedirs(files)
    bodies = {size: (b"nuncio %d " % size * (size // 9 + 1))[:size] for size in SIZES}
    for size, body in bodies.items():
        with open(os.path.join(files, str(size)), "wb") as out:
            out.write(body)
    # with 4 per connection nginx closes its connections all the time
    check_all(peers, nginx, bodies, 1000)
    check_all(peers, nginx, bodies, 4)


def check_all(peers, nginx, bodies, per_connection):
    ports = {"h1": free_port(), "h2": free_port()}
    path = os.path.join(peers.scratch, "nginx.conf")
    with open(path, "w", encoding="utf-8") as out:
        out.write(CONFIG.format(dir=peers.scratch, per_connection=per_connection, **ports))
    os.chmod(peers.scratch, 0o755)        # nginx gives up root for its worker
    peers.server([nginx, "-c", path, "-e", f"{peers.scratch}/start.log"], ports["h1"])
    proxy = peers.proxy("nginx.yaml", nginx_h1=ports["h1"], nginx_h2=ports["h2"])

    for way in ("h1", "h2"):
        client = http.client.HTTPConnection("127.0.0.1", proxy.ports["main"], timeout=20)

        def ask(target, method="GET", body=None, **headers):
            client.request(method, f"/{way}{target}", body=body,
                           headers={k.replace("_", "-"): v for k, v in headers.items()})
            answer = client.getresponse()
            return answer, answer.read()

        for size, body in bodies.items():
            answer, came = ask(f"/{size}")
            peers.equal((answer.status, hashlib.sha256(came).hexdigest()),
                        (200, hashlib.sha256(body).hexdigest()), f"{way}: file of {size} bytes")
        etag = ask("/1000")[0].headers["etag"]
        peers.equal(ask("/1000", if_none_match=etag)[0].status, 304, f"{way}: not modified")
        answer, came = ask("/1000", range="bytes=10-19")
        peers.equal((answer.status, came), (206, bodies[1000][10:20]), f"{way}: range")
        peers.equal(ask("/1000", method="HEAD")[0].headers["content-length"], "1000", f"{way}: HEAD")
        peers.equal(ask("/nothing")[0].status, 404, f"{way}: missing file")
        peers.equal(ask("/1000", method="POST", body=b"x" * 100_000)[0].status, 405,
                    f"{way}: upload refused early")
        answer, came = ask("/zipped/65536", accept_encoding="gzip")
        peers.equal(answer.headers["content-encoding"], "gzip", f"{way}: compressed, chunked")
        peers.equal(ask("/empty")[0].status, 204, f"{way}: 204")
        peers.equal(ask("/moved")[0].status, 302, f"{way}: redirect passed on")
        answer, came = ask("/says")
        peers.equal(answer.headers["x-proto"], "HTTP/2.0" if way == "h2" else "HTTP/1.1",
                    f"{way}: protocol nginx saw")
        peers.equal(answer.headers["x-host"], "127.0.0.1", f"{way}: host nginx saw")
        peers.check(re.search(rb"<title>Index of /", ask("/")[1]), f"{way}: directory listing")
        answers = [ask("/1000")[0].status for _ in range(120)]
        peers.equal(answers.count(200), 120, f"{way}: nginx closes its connections now and then")
