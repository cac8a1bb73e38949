"""Internal redirects: which are followed, with what, and what is logged and counted."""
from case import Pause, case, get, post


def to(prefix, location, code=302):
    """A path whose answer redirects: the origin reads the location from the query."""
    return f"{prefix}/to{code}?{location}"


CASES = [
    case("followed", "main", get(to("/follow", "http://x/echo/a?b=c")), origin_view=True),
    case("fragment is dropped", "main", get(to("/follow", "http://x/echo/a#f"))),
    case("port in the location", "main", get(to("/follow", "http://x:81/echo/a"))),
    case("location without a path", "main", get(to("/follow", "http://x"))),
    case("relative location", "main", get(to("/follow", "/echo/a"))),
    case("empty location", "main", get(to("/follow", ""))),
    case("not a URL", "main", get(to("/follow", "http:///x"))),
    case("301", "main", get(to("/follow", "http://x/echo", 301))),
    case("303 makes a POST a GET", "main", post(to("/follow", "http://x/echo", 303), "abc"), origin_view=True),
    case("303 leaves HEAD", "main", get(to("/follow", "http://x/echo", 303), method="HEAD"), heads=True),
    case("307 keeps the body", "main", post(to("/follow", "http://x/echo", 307), "abc"), origin_view=True),
    case("302 keeps the method", "main", post(to("/follow", "http://x/echo", 302), "abc")),
    case("code that is not followed", "main", get(to("/once", "http://x/echo", 307))),
    case("to a direct response", "main", get(to("/once", "http://x/direct"))),
    case("to no route", "main", get(to("/once", "http://x/zzz"))),
    case("other scheme", "main", get(to("/once", "https://x/echo"))),
    case("other scheme, allowed", "main", get(to("/cross", "https://x/echo")), origin_view=True),
    case("other scheme, not safe", "main", get(to("/safe", "https://x/echo"))),
    case("same scheme is safe", "main", get(to("/safe", "http://x/echo"))),
    case("listed route", "main", get(to("/listed", "http://x/direct"))),
    case("route that is not listed", "main", get(to("/listed", "http://x/echo"))),
    case("too many", "main", get(to("/once", "http://x/once/to302?http://x/echo"))),
    case("several", "main", get(to("/follow", "http://x/follow/to302?http://x/echo"))),
    case("the same routes again", "main", get(to("/previous", "http://x/previous/to302?http://x/previous/to302?http://x/echo"))),
    case("from a rewritten path", "main", get(to("/rewritten", "http://x/echo")), origin_view=True),
    case("after a retry", "main", get("/retried/flakyredirect")),
    case("the body is over the limit", "main", post(to("/small", "http://x/echo"), "x" * 20)),
    case("the body is not complete", "main",
         "POST /follow/to302?http://x/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab", Pause(0.3), "cd"),
    case("left alone", "main", get(to("/none", "http://x/echo"))),
]
