"""Choosing a virtual host and a route; redirects, rewrites, header changes."""
from case import case, get, post

HOSTS = ["exact.example", "EXACT.example", "exact.example:81", "exact.example:82", "a.suffix.example",
         "suffix.example", ".suffix.example", "a.b.suffix.example", "a.long.suffix.example",
         "x-dash.suffix.example", "prefix.com", "prefix.", "prefix.x:1", "exact.example.", "other"]
MATCHES = ["/path", "/path/", "/pathx", "/path?q=1", "/PATH", "/case", "/CASE", "/sep", "/sep/",
           "/sep/x", "/sepx", "/sep?x", "/re/123", "/re/123?x", "/re/123/", "/re/x", "/nothing"]
HEADERS = [["x-a: 1"], ["x-a: 11"], ["x-a: PREfix"], ["x-a: thepost"], ["x-a: amidb"], ["x-a: rrrx"],
           ["x-a: rrrxy"], ["x-n: 5"], ["x-n: 10"], ["x-n: -7"], ["x-n: 7x"], ["x-p: "], ["x-p: 1"],
           ["x-q: 1"], ["x-must: must"], ["x-a: 1", "x-a: 2"], ["x-a: 2", "x-a: 1"], []]
QUERIES = ["", "?a=1", "?a=2", "?a=1&a=2", "?a=2&a=1", "?b", "?b=", "?c=1&a=1", "?a", "?A=1",
           "?a=%31", "?a=1#x"]
REDIRECTS = ["/r-https?a=b", "/r-scheme", "/r-host?a=b", "/r-port?x", "/r-pathq?a=b",
             "/r-prefix/q?a=b", "/r-prefix", "/r-regex/abc/def?x=1", "/r-regex/1"]
REWRITES = ["/rewrite/echo", "/rewrite/a/echo?q", "/rewrite-to/echo", "/rewrite-to", "/regexrw/one/echo?q=1",
            "/regexrw/!/echo", "/hostrw/echo", "/hostxfh/echo", "/autohost/echo", "/weighted/echo"]

CASES = [case(f"host {host}", "main", get("/x", host=host)) for host in HOSTS]
CASES += [case(f"match {path}", "main", get(path)) for path in MATCHES]
CASES += [case(f"headers {', '.join(h) or 'none'}", "main", get("/hdr", *h)) for h in HEADERS]
CASES += [case(f"query {query or 'none'}", "main", get("/query" + query)) for query in QUERIES]
CASES += [case(f"redirect {path}", "main", get(path)) for path in REDIRECTS]
CASES += [case(f"rewrite {path}", "main", get(path)) for path in REWRITES]
CASES += [
    case("redirect with port in host", "main", get("/r-https", host="h.example:8080")),
    case("redirect port 80 to https", "main", get("/r-https", host="h.example:80")),
    case("redirect behind https", "main", get("/r-https", "x-forwarded-proto: https")),
    case("redirect port behind https", "main", get("/r-port", "x-forwarded-proto: https")),
    case("redirect head", "main", get("/r-host", method="HEAD"), heads=True),
    case("redirect post", "main", post("/r-host", "ab")),
    case("tls required", "main", get("/a?b", host="tls.example")),
    case("tls required, told it is", "main",
         get("/s200", "x-forwarded-proto: https", host="tls.example")),
    case("tls required of strangers, internal", "main",
         get("/a", "x-forwarded-for: 10.0.0.1", host="tlsext.example")),
    case("tls required of strangers, stranger", "main",
         get("/a", "x-forwarded-for: 1.2.3.4", host="tlsext.example")),
    case("virtual host without routes", "main", get("/a", host="none.example")),
    case("attempt count both ways", "main", get("/echo", host="attempts.example")),
    case("grpc route", "main", get("/grpc", "content-type: application/grpc")),
    case("grpc route with suffix", "main", get("/grpc", "content-type: application/grpc+proto")),
    case("grpc-web is not grpc", "main", get("/grpc", "content-type: application/grpc-web")),
    case("direct response without body", "main", get("/nobody")),
    case("direct response of an odd status", "main", get("/teapot")),
    case("direct response with headers", "main", get("/withheaders")),
    case("direct response to a post", "main", post("/path", "abc")),
    case("direct response to a head", "main", get("/path", method="HEAD"), heads=True),
    case("unknown cluster", "main", get("/nocluster")),
    case("unknown cluster as 404", "main", get("/nc404")),
    case("unknown cluster as 500", "main", get("/nc500")),
    case("cluster from a header", "main", get("/chosen/up/s200", "x-cluster: up")),
    case("cluster from a header, unknown", "main", get("/chosen", "x-cluster: nope")),
    case("cluster from a header, missing", "main", get("/chosen")),
    case("cluster from a header, empty", "main", get("/chosen", "x-cluster:")),
    case("host from a header", "main", get("/hosthdr/echo", "x-new-host: nh.example")),
    case("host from a missing header", "main", get("/hosthdr/echo")),
    case("x-forwarded-host appended to", "main", get("/hostxfh/echo", "x-forwarded-host: a")),
    case("headers added and removed", "main", get(
        "/addremove/echo", "x-append: a1", "x-absent: old", "x-over: old", "x-overonly: old",
        "x-from: value", "x-drop: 1", "x-drop-me: 1", "User-Agent: t")),
    case("headers added where there were none", "main", get("/addremove/echo")),
    case("headers of every level, most specific wins", "specific", get("/addremove/echo")),
    case("headers added to a direct response", "main", get("/path")),
    case("headers not added to a missing route", "main", get("/nothing/here")),
    case("response header removed by virtual host", "main", get("/up/s200")),
]
