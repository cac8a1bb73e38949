"""What routes ask of a request: conditions, path templates, trees of matchers, domains."""
from case import case, get, request

COOKIES = [[], ["cookie: a=1"], ["cookie: a=2; a=1"], ["cookie: a=1; a=2"], ["cookie: a=2", "cookie: a=1"],
           ['cookie: a="1"'], ["cookie: a="], ["cookie: a"], ["cookie: A=X1"], ["cookie:   a = 1 ;b=2"],
           ["cookie: b=2;a=1"], ["cookie: a=1=2"], ["cookie: a=%31"]]
QUERIES = ["", "?a", "?a=", "?a=2&a=1", "?a=1&a=2", "?a=%31", "?%61=1", "?A=1", "?&a=1", "?=1", "?a=1;b",
           "?a%20b=x%20y", "?a+b=x+y", "?x?a=1", "?a==1"]
HEADERS = [[], ["x:"], ["x: a"], ["x: b"], ["x: a", "x: b"], ["x: b", "x: a"], ["x: a,b"], ["x: 1"], ["x: 9", "x: 1"],
           ["x: +3"], ["x: 3 "], ["x: 3.0"], ["x: aBc"], ["x: 99999999999999999999"]]
CONTENT_TYPES = ["application/grpc", "application/grpc+proto", "application/grpc;a", "application/grpc-web",
                 "application/grpcx", "APPLICATION/GRPC", "application/grpc+"]
CONDITIONS = [f"t{n}" for n in range(1, 6)] + [f"m{n}" for n in range(1, 10)] + ["f1", "r1", "r2", "r3"]
PATHS = ["/pq?x", "/pq", "/pf", "/prq?x", "/prqx", "/ci", "/Cix", "/sep", "/SEP/x", "/sepx", "/re?x", "/rexy", "/re2",
         "/RE2", "/pp;x", "/pp", "/x#y"]
RUNTIME = ["/rt-on", "/rt-off", "/rt-over", "/rt-none", "/rt-zero"]
TEMPLATES = r"""
/a /a/ /a/b /a/b/ /a/b/c /a/b?q /a/b#f /a/* /a/b=c /a/%20 /a/b;c /a/"x /a/b[c] /a//b /A/b /b /b/ /b/x /b/x/y/
/b/x?q /b//x /b/x=y /b/x*y /c/ /c/a /c/a/ /d/x/b /d//b /d/x/y/b /e/a/b/ /e/a/b /e/a/b/c/d /e/x/b/c /f /f/ /f/x
/g/a /g//a /g/b/a /g/b/c/a /g/b/c /h/.jpg /h/x.jpg /h/x/y.jpg /h/xjpg /i /ix /i/x /j/.jpg /j/a.jpg /j/a.b.jpg
/j/a/b.jpg /k/.jpg /k/a/b.jpg /k/b.jpg /k/ajpg /l /lx /lx/y /m /ma /ma/b /n=b /n%3Db /o/a%20b /o/a /p/a-b
/p/-b /p/a- /p/a-b-c /q/ab/z /q/a/z /q/abc/z /rxb /rxby /rb /rxbyb /sxt/u /st/u /t/y/z /t/a/y/z /t/a/b/y/z
/t//y/z /u.+$() /v/.m /v/a/b.m /w/ab /w/axb /w/ax/yb /x/a.jpg /x/.jpg /y/b /y/bx /z/a/b.c /z/a.b.c /z/.c
/A/x/c /A/x/y/c /A/x/y/z/c /B/ab /B/a /C/xbyd/z /C/xbd/z /D/axb /D/axbb /D/ax /D/a /E/xa/b /E/a/b /F/x/ya/b
/F/a/b /G/ax/ /G/ax /H/x /H/ /H /I/x/b /I//b /K/x/ /K/x /M/x/ /M/x /N/ /N/x/ /N// /O/ab/cd /O/axd /P/a.jpg/
/Q/~!$&'()+,;:@ /R/a.b /R/axb /S/x /T/x /T//x /T/a/b/x /U/a/ /U/a/b/c /V/axb/cyd /V/axb/c/d /W/ab /W/aab /W/b
/W/a*b /X/a=b /X/a==b /Y/xa /Y/x /Y/xaa /aa/a /aa/b/a
""".split()
PARAMETERS = ["/params;a", "/params;a/b", "/exact;x=1?y;z", "/exact?x;y", "/a/b;c", "/exac;t"]
TREE_HEADERS = [[], ["x-a:"], ["x-a: a"], ["x-a: ab"], ["x-a: aa"], ["x-a: zz"], ["x-b: b"], ["x-a: a", "x-b: b"],
                ["x-a: b", "x-a: c"], ["x-a: rr"], ["x-a: amIDx"], ["x-a: 10.1.1.1"]]
TREES = ["list", "andor", "exact", "nested", "ic", "nomatchonly", "host", "ipm"]
HOSTS = ["www.foo.com", "WWW.FOO.COM", "www.upper.com", "www.foo.com:8080", "www.foo.com:81", "x.foo.com",
         "x.foo.com:80", "x.foo.com:81", ".foo.com", "foo.com", "xfoo.com", "a-bar.foo.com", "-bar.foo.com", "foo.org",
         "foo.", "foo.bx", "foo.b", "fx", "f", "other", "a*b.c", "a1b.c", "[::1]", "[::1]:80", "[::1]:81",
         "www.foo.com.", "foo.com:"]
BY_HEADER = [[], ["x-vhost:"], ["x-vhost: a.com"], ["x-vhost: A.com"], ["x-vhost: x.b.com"], ["x-vhost: c.d"],
             ["x-vhost: other"], ["x-vhost: a.com:80"], ["x-vhost: a.com", "x-vhost: c.d"]]


def told(headers):
    return ", ".join(headers) or "none"


CASES = [case(f"cookies {tag}, {told(c)}", "main", get(f"/{tag}/", *c))
         for tag in ("c1", "c2", "c3", "c4") for c in COOKIES]
CASES += [case(f"query q{n} {query or 'none'}", "main", get(f"/q{n}/{query}")) for n in range(1, 9) for query in QUERIES]
CASES += [case(f"header h{n}, {told(h)}", "main", get(f"/h{n}/", *h)) for n in range(1, 20) for h in HEADERS]
CASES += [case(f"pseudo header p{n}", "main", get(f"/p{n}/", "X-Up: 1", host="HH")) for n in range(1, 12)]
CASES += [case(f"grpc {kind}", "main", get("/p11/", f"content-type: {kind}")) for kind in CONTENT_TYPES]
CASES += [case(f"condition {tag}", "main", get(f"/{tag}/")) for tag in CONDITIONS]
CASES += [case(f"path {path}", "main", get(path)) for path in PATHS]
CASES += [case(f"runtime {path}", "main", get(path)) for path in RUNTIME]
CASES += [case("path with its query in a header", "main", get("/p1/?x"))]
CASES += [case("options of everything", "main", request("*", method="OPTIONS"))]
CASES += [case(f"template {path}", "templates", get(path)) for path in TEMPLATES]
CASES += [case(f"parameters {path}", "templates", get(path)) for path in PARAMETERS]
CASES += [case(f"tree {tree}, {told(h)}", "trees", get("/", *h, host=tree)) for tree in TREES for h in TREE_HEADERS]
CASES += [case(f"tree of paths {path}, {told(h)}", "trees", get(path, *h, host="prefix"))
          for path in ("/a", "/a?x", "/ab", "/a/b", "/a/bx", "/a/b/c", "/a/b/c/d", "/") for h in ([], ["x-a: a"])]
CASES += [case(f"domain {host}", "domains", get("/", host=host)) for host in HOSTS]
CASES += [case(f"domain without port {host}", "noport", get("/", host=host)) for host in HOSTS]
CASES += [case(f"virtual host by header, {told(h)}", "byheader", get("/", *h, host="a.com")) for h in BY_HEADER]
CASES += [case(f"any virtual host, {told(h)}", "anyheader", get("/", *h)) for h in BY_HEADER[:3]]
