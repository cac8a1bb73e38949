"""Compares two observations and prints what differs, in words."""
import difflib
import json
import re

ASPECTS = ["reply", "end", "upstream", "log", "stats", "elapsed"]


def differences(case, wanted, got):
    """What of `got` is not as `wanted`: aspect -> printable lines."""
    found = {}
    if "failure" in got or "failure" in wanted:
        return {"reply": [str(got.get("failure", "") or wanted.get("failure"))]}
    if case.departs:
        start = "".join(line + "\n" for line in got["reply"])
        if not start.startswith(case.instead):
            found["reply"] = [f"departs on purpose ({case.departs}), but not with "
                              f"{case.instead!r}:"] + got["reply"][:6]
        if not case.departs_in:
            return found
    for aspect in ASPECTS:
        if case.departs and aspect in case.departs_in:
            continue
        a, b = wanted.get(aspect), got.get(aspect)
        if aspect == "elapsed":
            # nuncio closes at once where Envoy waits for delayed_close_timeout, one second
            if b is not None and a is not None and abs(a - b - 1.0) < 0.3:
                continue
            if a is not None and (b is None or abs(a - b) > 0.3 + 0.25 * a):
                found[aspect] = [f"- {a} s", f"+ {b} s"]
        elif aspect == "stats":
            b = dict(b or {})
            for name, more in (case.departs_stats if case.departs else {}).items():
                b[name] = b.get(name, 0) - more
            lines = stat_lines(a or {}, b, case.loose)
            if lines:
                found[aspect] = lines
        elif aspect == "end" and (a, b) == ("reset", "fin"):
            continue        # lingering instead of a reset: the client can read the answer
        elif a != b:
            found[aspect] = text_lines(a, b)
    return found


def stat_lines(a, b, loose):
    out = []
    for name in sorted(set(a) | set(b)):
        if a.get(name, 0) != b.get(name, 0) and not (loose and re.search(loose, name)):
            out.append(f"  {name}: {a.get(name, 0)} -> {b.get(name, 0)}")
    return out


def text_lines(a, b):
    as_lines = [x if isinstance(x, list) else [str(x)] for x in (a or [], b or [])]
    marked = [[json.dumps(l)[1:-1] for l in lines] for lines in as_lines]
    diff = difflib.unified_diff(marked[0], marked[1], lineterm="", n=30)
    return ["  " + line for line in list(diff)[3:]] or ["  (only line ends differ)"]


class Tally:
    def __init__(self):
        self.cases = self.identical = self.departed = 0
        self.aspects = {}
        self.failed = []

    def add(self, group, case, found):
        self.cases += 1
        if not found:
            if case.departs:
                self.departed += 1
            else:
                self.identical += 1
            return
        self.failed.append(f"{group}/{case.name}")
        for aspect in found:
            self.aspects[aspect] = self.aspects.get(aspect, 0) + 1

    def missing(self, group, cases, why):
        for case in cases:
            self.add(group, case, {"reply": [why]})

    def summary(self):
        out = [f"compat: {self.cases} cases, {self.identical} identical, "
               f"{self.departed} depart as documented, {len(self.failed)} differ"]
        if self.aspects:
            out.append("  differing in: " + ", ".join(
                f"{name} {count}" for name, count in sorted(self.aspects.items())))
        return "\n".join(out)


def print_differences(group, case, found, out):
    print(f"\n=== {group}/{case.name}  [{case.on}]", file=out)
    for aspect, lines in found.items():
        print(f" {aspect}:", file=out)
        for line in lines[:80]:
            print(f"   {line}", file=out)
