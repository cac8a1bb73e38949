"""What a route does: rewriting, redirects, answers, weights, hashing, time limits, headers."""
from case import case, get, post

ECHOES = ["/pf/echo?q=1", "/pfempty/echo", "/pfabsent/x", "/pfpath/y?q", "/pfhost/x", "/rx/tee/echo?e=e",
          "/rxall/one/two?x=y", "/rxnone/echo", "/anycase/echo", "/ANYCASE/echo?Q", "/EXACT?a=b", "/exact", "/re12/x?a=b",
          "/sep/echo", "/seproot/echo", "/double/echo", "/double/", "/doubleecho",
          "/hpath/ph.example/echo", "/hpath/ph.example/echo?q=/hpath/z/", "/hpathno/echo", "/hfmt/echo",
          "/hfmtonly/echo", "/hhdr/echo", "/hpseudo/echo", "/hxfh/echo", "/hauto/echo", "/hautono/echo", "/hwauto/echo",
          "/hw/echo", "/hwlit/echo", "/hwadd/echo", "/tm/en/a/b/c?q=1", "/tm/en/", "/tm/en/x%20y", "/tv/film.m3u8?q",
          "/tv/film.mpd"]
REDIRECTS = ["/r-scheme?a", "/r-https/x?a=b", "/r-http/x", "/r-nohttps", "/r-bigport", "/r-port80", "/r-hostport",
             "/r-host?a=b", "/r-path?a=b", "/r-noslash?a", "/r-strippath?a=b", "/r-strip/x?a=b", "/r-frag?a=b",
             "/r-prefix/x?a=b", "/r-prefix/", "/r-prefix//x", "/r-prefstrip/x?a=b", "/r-any/x", "/r-regex/aeiou?a=e",
             "/r-fmt?a=b", "/r-fstrip?a=b", "/r-fempty?a=b", "/r-fquery?a=b", "/r-headers"]
ANSWERS = ["/d-301", "/d-301?x=y", "/d-301b", "/d-201", "/d-304", "/d-599", "/d-empty", "/d-fmt", "/d-fmtonly",
           "/d-json", "/d-ctype", "/d-hctype"]
HOSTS = ["h.example:80", "h.example:443", "h.example:8080", "[::1]", "[::1]:80", "[::1]:8080", "127.0.0.1:80"]
TIMES = ["/t-5", "/t-0", "/t-stream", "/t-gstream", "/t-gzero", "/t-gold", "/t-zgold", "/t-try", "/t-bigtry", "/t-hedge"]
GRPC = "content-type: application/grpc"

CASES = [case(f"rewrite {path}", "main", get(path)) for path in ECHOES]
CASES += [case(f"redirect {path}", "main", get(path)) for path in REDIRECTS]
CASES += [case(f"answer {path}", "main", get(path)) for path in ANSWERS]
CASES += [case(f"{path} of {host}", "main", get(path, host=host))
          for host in HOSTS for path in ["/r-https", "/r-port80", "/r-scheme"]]
CASES += [case(f"{path} of {host} behind https", "main", get(path, "x-forwarded-proto: https", host=host))
          for host in HOSTS[:3] for path in ["/r-https", "/r-http", "/r-port80"]]
CASES += [case(f"time {path}", "main", get(path + "/echo")) for path in TIMES]
CASES += [case(f"time of grpc {path} {timeout}", "main", get(path + "/echo", GRPC, *timeout))
          for path in TIMES for timeout in [[], ["grpc-timeout: 5S"], ["grpc-timeout: 100S"], ["grpc-timeout: 2500m"]]]
CASES += [case(f"grpc-timeout {text}", "main", get("/t-gstream/echo", GRPC, f"grpc-timeout: {text}"))
          for text in ["1H", "1M", "7S", "7s", "2000m", "5000000u", "5000000000n", "", "S", "x", "1.5S", "99999999m",
                       "100000000m", "-5S"]]
CASES += [case(f"asked for {' '.join(headers)} at {path} from {where}", where, get(path + "/echo", "x-forwarded-for: 127.0.0.1", *headers))
          for where in ["main", "inner", "quiet", "strict"] for path in ["/t-5", "/t-stream"]
          for headers in [["x-envoy-upstream-rq-timeout-ms: 2000"], ["x-envoy-upstream-rq-timeout-ms: 0"],
                          ["x-envoy-upstream-rq-timeout-ms: x"], ["x-envoy-upstream-rq-per-try-timeout-ms: 1000"],
                          ["x-envoy-upstream-rq-per-try-timeout-ms: 9000"],
                          ["x-envoy-expected-rq-timeout-ms: 777"],
                          ["x-envoy-expected-rq-timeout-ms: 777", "x-envoy-upstream-rq-timeout-ms: 888"],
                          ["x-envoy-expected-rq-timeout-ms: x"],
                          ["x-envoy-hedge-on-per-try-timeout: true", "x-envoy-upstream-rq-per-try-timeout-ms: 1000"],
                          ["x-envoy-upstream-rq-timeout-alt-response: 1"], ["x-envoy-upstream-stream-duration-ms: 5000"],
                          ["x-envoy-max-retries: 5"], ["x-envoy-max-retries: x"], ["x-envoy-retry-on: 5xx"],
                          ["x-envoy-retry-on: 5xx,nope"], ["x-envoy-retry-grpc-on: cancelled"],
                          ["x-envoy-retry-grpc-on: 5xx"], ["x-envoy-retriable-status-codes: 418"],
                          ["x-envoy-retriable-header-names: a"], ["x-envoy-upstream-alt-stat-name: alt"],
                          ["x-envoy-force-trace: 1"], ["x-envoy-ip-tags: 1"], ["x-envoy-decorator-operation: a"],
                          ["x-envoy-original-path: /x"], ["x-envoy-original-host: x"],
                          ["x-envoy-downstream-service-cluster: x"], ["x-envoy-attempt-count: 7"],
                          ["x-envoy-internal: true"], ["x-envoy-something-else: true"]]]
CASES += [case(f"weight by header {value}", "main", get("/w-hdr/s200", *value))
          for value in [["x-r: 0"], ["x-r: 29"], ["x-r: 30"], ["x-r: 99"], ["x-r: 100"], ["x-r: 131"], ["x-r: 18446744073709551615"]]]
CASES += [case(f"weight by hash at {path} {value}", "main", get(path + "/s200?q=v", *value))
          for path in ["/w-hash", "/w-manyhash"]
          for value in [["x-k: a"], ["x-k: b"], ["x-k: c"], ["x-k: d"], ["x-k: a", "x-k: b"], ["x-k: b", "x-k: a"],
                        ["x-k: "], ["x-k: 1", "cookie: ck=v"], ["x-k: 2", 'cookie: a=b; ck="v"'],
                        ["x-k: e", "cookie: ck=w; x=y"], ["x-k: f", "cookie: ck="], ["x-k: g"], ["x-k: h"]]]
CASES += [
    case("path by a header", "main", get("/pf/x?q=1", "x-to: there")),
    case("path by a header, strange", "main", get("/pf/x?q=1", "x-to: a/../b%20c")),
    case("host by a format", "main", get("/hfmt/echo", "x-h: made")),
    case("host by a format alone", "main", get("/hfmtonly/echo", "x-h: made")),
    case("forwarded host twice", "main", get("/hxfh/echo", "x-forwarded-host: h.example")),
    case("forwarded host of several", "main", get("/hxfh/echo", "x-forwarded-host: h.example, other")),
    case("forwarded host, the last is the same", "main", get("/hxfh/echo", "x-forwarded-host: other,h.example")),
    case("redirect by a header", "main", get("/r-fmt?a=b", "x-to: there")),
    case("redirect by a header, whole", "main", get("/r-fempty?a=b", "x-to: there")),
    case("answer of 204 with a body", "main", get("/d-204"), departs="a response of 204 has no body (RFC 9110)",
         instead="HTTP/1.1 204 No Content"),
    case("answer to head", "main", get("/d-fmt", method="HEAD"), heads=True),
    case("answer to grpc", "main", get("/d-fmt", GRPC)),
    case("answer of 301 to grpc", "main", get("/d-301b", GRPC)),
    case("weight by the runtime", "main", get("/w-rt/s200")),
    case("weighted cluster by a header", "main", get("/w-ch/echo", "x-c: up")),
    case("weighted cluster by a missing header", "main", get("/w-ch/echo")),
    case("cluster by authority", "main", get("/c-auth/s200", host="up")),
    case("cluster by authority, unknown", "main", get("/c-auth/s200", host="nope")),
    case("cookie that is there", "main", get("/ck-ttl/s200", "cookie: ck=here")),
    case("cookie where nothing hashes", "main", get("/ck-robin/s200")),
    case("route asks for retries", "main", get("/t-made/s503")),
    case("too slow", "main", get("/t-slow/slow1000")),
    case("too slow, other answer wanted", "inner", get(
        "/t-slow/slow1000", "x-forwarded-for: 127.0.0.1", "x-envoy-upstream-rq-timeout-alt-response: 1")),
    case("rewritten quietly", "quiet", get("/hlit/echo")),
    case("host rewritten quietly", "quiet", get("/hauto/echo")),
    case("redirected quietly", "quiet", get("/r-prefix/x")),
    case("headers changed", "levels", get("/actions/echo", "x-again: before", "x-case: 1", "x-over2: a", "x-over2: b",
         "x-ifexists: old", "x-emptyover: old", "user-agent: ua", "accept: text/a", "cookie: a=b",
         "content-type: text/b", "x-forwarded-for: 1.1.1.1", "x-asked: for", "via: v", "x-gone: 1", "x-old: a", "x-older: a")),
    case("headers changed where there are none", "levels", get("/actions/echo")),
    case("headers of levels", "levels", get("/echo", "x-o: client", "x-l: client")),
    case("headers of levels, most specific wins", "specific", get("/echo", "x-o: client", "x-l: client")),
    case("headers of levels, most specific wins, none there", "specific", get("/echo")),
    case("values of requests", "levels", get("/ops/echo?a=1&c=%20x", "x-other: other", "x-forwarded-for: 4.4.4.4")),
    case("values of posts", "levels", post("/ops/echo", "body", "x-asked: asked")),
    case("values of a local reply", "levels", get("/ops/reset")),
]
