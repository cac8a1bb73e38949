"""Runs one case against one proxy and notes everything that can be compared."""
import re
import time

import wire
from masks import Masks

# Stats whose change by a case does not depend on what ran before it: pool and
# connection-reuse counters of clusters are left out, so are bytes and times.
# downstream_cx_delayed_close_timeout is left out: nuncio sends its FIN with the last byte and then
# lingers (RFC 9112 section 9.6), so clients close in time; Envoy keeps the connection open for
# delayed_close_timeout first.
SELECTED = re.compile(
    r"http\.(?!admin\.|async-client)[^.]+\.(downstream_rq_(?!active|time)"
    r"|downstream_cx_(total|destroy|http[12]_total|protocol_error|idle_timeout|drain_close"
    r"|max_requests_reached|max_duration|upgrades_total)|rq_|no_route|no_cluster|rs_too_large)"
    r"|cluster\.[^.]+\.(upstream_rq_(?!active|pending_total|pending_active|time)"
    r"|external\.|internal\.|canary\.|retry\.|zone\.|shop\.|mall\.|retry_or_shadow|upstream_cx_(connect_fail|connect_timeout"
    r"|overflow|none_healthy|protocol_error))"
    r"|vhost\.|listener\.(?!admin\.)[^ ]*?\.(http\.|downstream_cx_total|no_filter_chain)"
    r"|http[12]\.(?!streams_active|pending)")
ACTIVE = re.compile(r"(http\.(?!admin\.)[^.]+\.downstream_(cx|rq)_active|cluster\..*upstream_rq_active)$")


class Side:
    """One proxy under test with its masks and the ports its clients used."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.masks = Masks(proxy)
        self.ports = wire.Ports()

    def observe(self, case):
        if not self.proxy.alive():
            return {"failure": f"{self.proxy.name} is not running: {self.proxy.tail()[-300:]}"}
        try:
            return self._observe(case)
        except OSError as error:
            return {"failure": f"{type(error).__name__}: {error}"}

    def _observe(self, case):
        before = self.proxy.stats()
        seen_before = len(self.proxy.around.origin.seen)
        sock, own = self.ports.connect(self.proxy.ports[case.on], case.within)
        with sock:
            if case.h2:
                import h2wire
                talk = h2wire.Connection(sock, case)
                elapsed = talk.run(case.h2)
                reply = self.masks.head(talk.transcript(), own)
            else:
                talk = wire.Talk(sock, case)
                elapsed = talk.run()
                reply = self.masks.reply(talk.data, case.heads, own)
        end = "closed" if (case.any_close or case.h2) and talk.end != "open" else talk.end
        seen = {"reply": reply.split("\n"), "end": end}
        if case.timed:
            seen["elapsed"] = round(elapsed, 2)
        settled = self._settled(before)     # mirrors may come after the answer
        if case.origin_view:
            heads = self.proxy.around.origin.seen[seen_before:]
            views = [self.masks.head((h + b"\n" + b).decode("latin-1"), own) for h, b in heads]
            seen["upstream"] = sorted(views) if case.origin_sorted else views
        seen["stats"] = self._changes(before, settled)
        seen["_port"], seen["_body"] = own, talk.body_bytes
        return seen

    def settle(self):
        self._settled({})

    def _settled(self, before):
        """Stats once nothing is active any more and two looks agree."""
        deadline, last = time.monotonic() + 2, None
        while True:
            now = self.proxy.stats()
            if not any(v for n, v in now.items() if ACTIVE.search(n)):
                picked = self._changes(before, now)
                if picked == last:
                    return now
                last = picked
            if time.monotonic() > deadline:
                return now
            time.sleep(0.01)

    def _changes(self, before, after):
        changes = {}
        for name, value in after.items():
            if value != before.get(name, 0) and SELECTED.match(name):
                changes[self.masks.text(name)] = value - before.get(name, 0)
        return dict(sorted(changes.items()))

    def add_logs(self, observations):
        """Once the proxy has ended (and flushed): each case's access-log lines."""
        by_port = self.proxy.access_lines()
        for seen in observations.values():
            lines = by_port.get(seen.pop("_port", None), [])
            body = seen.pop("_body", 0)
            if "failure" not in seen:
                seen["log"] = [self.masks.log(line, body) for line in lines]
