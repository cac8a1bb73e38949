"""What one case is, and short ways to write requests.

A case is a conversation with one listener of one proxy: some bytes (or HTTP/2
frames), and how long to watch afterwards.  It holds no expectation: what real
Envoy answers is the expectation, live or recorded.
"""
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional, Tuple, Union


# A request that fails at once may or may not have found an idle upstream connection.
ATTEMPT = r"upstream_rq_(cancelled|total)"


class HalfClose:
    """Step: shut down the client's sending side."""


@dataclass
class Await:
    """Step: read until this many final responses have come in all."""
    responses: int = 1


@dataclass
class Pause:
    """Step: wait this long; only for cases that are about time."""
    seconds: float


Step = Union[bytes, HalfClose, Await, Pause]


@dataclass
class Case:
    name: str
    on: str                       # listener name: the YAML's $p_<name>
    steps: List[Step] = field(default_factory=list)
    responses: int = 1            # final responses to read; 0: only watch
    heads: bool = False           # responses have no body (HEAD)
    within: float = 6.0           # give up reading after this long
    linger: Optional[float] = None  # watch for a close this long; None: by the answer
    any_close: bool = False       # fin or reset is a matter of timing here
    timed: bool = False           # compare how long the answer took
    h2: Optional[Callable] = None   # HTTP/2 conversation instead of steps
    departs: str = ""             # why nuncio answers otherwise on purpose
    instead: str = ""             # what nuncio's reply must start with then
    departs_in: Tuple[str, ...] = ()  # only these aspects depart; empty: all are left alone
    departs_stats: Dict[str, int] = field(default_factory=dict)  # stat: nuncio's count minus Envoy's
    loose: str = ""               # regex of stats that depend on timing here
    origin_view: bool = False     # also compare the raw bytes the upstream saw
    origin_sorted: bool = False   # whichever came first


def case(name, on, *steps, **options) -> Case:
    """A conversation in raw HTTP/1 bytes; str steps are latin-1."""
    raw = [s.encode("latin-1") if isinstance(s, str) else s for s in steps]
    return Case(name, on, raw, **options)


def h2case(name, on, script, **options) -> Case:
    """A conversation in HTTP/2 frames: script(h2wire.Connection) drives it."""
    return Case(name, on, [], h2=script, **{"loose": ATTEMPT, **options})


def request(path, *headers, method="GET", host="h.example", body=None) -> str:
    """One HTTP/1.1 request; a body brings its content-length along."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines) + "\r\n\r\n" + (body or "")


def get(path, *headers, **kw) -> str:
    return request(path, *headers, **kw)


def post(path, body, *headers, **kw) -> str:
    return request(path, *headers, method="POST", body=body, **kw)


def lines(*parts) -> str:
    """A request head written out line by line, each ended by CR LF."""
    return "\r\n".join(parts) + "\r\n\r\n"
