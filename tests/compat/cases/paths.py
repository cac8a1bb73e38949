"""Path normalisation: dots, slashes, escapes; by default and when asked for."""
from case import case, get

PATHS = ["/up/a/../echo", "/up/./echo", "/up/a/b/../../echo", "/../up/echo", "/up/..", "/up/echo/.",
         "/up//echo", "/up///a//..//echo", "//up/echo", "/up/a%2Fecho", "/up/a%2fecho",
         "/up/a%5Cecho", "/up/a%5cecho", "/up\\echo", "/up/a/%2e%2e/echo", "/up/%2E/echo",
         "/up/%2e%2E/up/echo", "/up/%25/echo", "/up/%zz/echo", "/up/%", "/up/%4/echo", "/up/%00/echo",
         "/up/%41/echo", "/up/%7Ea/echo", "/UP/echo", "/up/a;b=c/../echo", "/up/echo?a/../b=//",
         "/up/echo?", "/up/echo??", "/up/a%20b/echo", "/up/..%2fecho", "/up/%2e%2e%2fecho",
         "/%2e%2e/up/echo", "/up/a/..;/echo", "/", "/..", "/up/%C3%A9/echo", "/up/a+b/echo",
         "/up/echo?x=%2F..%2F", "/up/a/.../echo", "/up/a/..;x=1/echo", "/up/a/%2e%2e;/echo", "/up/%2%41/echo",
         '/up/"<>^`{|}[]/echo', "/up/%7e%2D%5f%3b/echo"]

CASES = [case(f"{path} on {on}", on, get(path))
         for on in ("main", "normal", "merge", "mergeonly", "reject", "redirect", "forward")
         for path in PATHS]
