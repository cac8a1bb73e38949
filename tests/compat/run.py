#!/usr/bin/env python3
"""Compares a proxy with real Envoy from outside: same YAML, same bytes in.

    run.py --subject target/debug/nuncio --reference /path/to/envoy
    run.py --subject target/debug/nuncio --recorded        without Envoy
    run.py --reference /path/to/envoy --record             write recorded/*.json

Each module in cases/ is a group with its own bootstrap (cases/<group>.yaml).
Both proxies of a group run side by side and get the same cases in the same
order.  Python 3.11, standard library only.  Exit status 1 on any difference.
"""
import argparse
import concurrent.futures
import copy
import importlib
import json
import pathlib
import random
import re
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "cases")]

import report                                   # noqa: E402
from observe import Side                        # noqa: E402
from proxy import Proxy, StartFailed            # noqa: E402


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--subject", help="the binary under test")
    p.add_argument("--reference", help="the real Envoy")
    p.add_argument("--recorded", action="store_true", help="expect what recorded/ says")
    p.add_argument("--record", action="store_true", help="write recorded/ from the reference")
    p.add_argument("--filter", default="", help="regex over group/case")
    p.add_argument("--later", action="store_true", help="also groups marked LATER")
    p.add_argument("--again", type=int, default=2, help="times that cases that differ are looked at again")
    p.add_argument("--jobs", type=int, default=3, help="groups at a time")
    p.add_argument("--out", help="also write differences to this file")
    p.add_argument("--list", action="store_true")
    options = p.parse_args()
    if not options.list and not (options.reference or options.recorded):
        p.error("need --reference or --recorded")
    if not options.list and not options.record and not options.subject:
        p.error("need --subject (or --record)")
    options.itself = bool(options.reference and options.subject) and \
        pathlib.Path(options.reference).resolve() == pathlib.Path(options.subject).resolve()
    return options


class Group:
    """The cases of one module that the filter lets through."""

    def __init__(self, path, wanted):
        self.name = path.stem
        module = importlib.import_module(self.name)
        self.later = getattr(module, "LATER", False)
        self.template = path.with_suffix(".yaml")
        self.cases = [c for c in module.CASES if wanted.search(f"{self.name}/{c.name}")]
        names = [c.name for c in module.CASES]
        assert len(names) == len(set(names)), f"{self.name}: a case name twice"

    @property
    def record(self):
        return HERE / "recorded" / f"{self.name}.json"


def run_cases(group, binary, label, scratch):
    """Observations by case name; raises StartFailed if the proxy refuses its YAML."""
    proxy = Proxy(binary, group.template, scratch, f"{label}-{group.name}",
                  random.randrange(10_000, 400_000_000))
    observations = {}
    try:
        proxy.start()
        side = Side(proxy)
        side.settle()                  # from probing whether it listens
        for case in group.cases:
            if not proxy.alive():      # it died of the case before; that one has failed
                proxy.start()
                side.masks.__init__(proxy)
            observations[case.name] = side.observe(case)
            if not proxy.alive():
                observations[case.name] = {"failure": f"{label} died: {proxy.tail()[-600:]}"}
    finally:
        proxy.stop()
    side.add_logs(observations)
    return observations


def run_group(group, options, scratch):
    with concurrent.futures.ThreadPoolExecutor(2) as both:
        jobs = {}
        if options.reference:
            jobs["reference"] = both.submit(run_cases, group, options.reference, "reference", scratch)
        if options.subject:
            jobs["subject"] = both.submit(run_cases, group, options.subject, "subject", scratch)
        results = {}
        for label, job in jobs.items():
            try:
                results[label] = job.result()
            except StartFailed as failure:
                results[label] = failure
        return results


def wanted_observations(group, results, options):
    if options.reference:
        return results["reference"]
    return json.loads(group.record.read_text(encoding="utf-8"))


def judge(group, results, options, tally, out, scratch):
    wanted = wanted_observations(group, results, options)
    if isinstance(wanted, StartFailed):
        sys.exit(f"{group.name}: the reference does not start: {wanted}")
    if options.record:
        kept = {}
        if options.filter and group.record.exists():
            kept = json.loads(group.record.read_text(encoding="utf-8"))
        kept.update(wanted)
        group.record.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        print(f"{group.name}: {len(wanted)} cases recorded")
    if not options.subject:
        return
    got = results["subject"]
    if isinstance(got, StartFailed):
        print(f"\n=== {group.name}: does not start with this bootstrap:\n{got}", file=out)
        tally.missing(group.name, group.cases, "proxy did not start")
        return
    found = differences(group.cases, wanted, got, options)
    for _ in range(options.again):
        found = look_again(group, found, options, scratch)
    for case in group.cases:
        tally.add(group.name, case, found.get(case.name))
        if case.name in found:
            report.print_differences(group.name, case, found[case.name], out)
    print(f"compat {group.name}: {len(group.cases)} cases, {len(found)} differ", flush=True)


def differences(cases, wanted, got, options):
    """What differs, by case name; cases that do not are left out."""
    found = {}
    for case in cases:
        if options.itself:
            case.departs = ""          # Envoy beside Envoy departs from nothing
        differs = report.differences(case, wanted.get(case.name, {"failure": "not recorded"}),
                                     got[case.name])
        if differs:
            found[case.name] = differs
    return found


def look_again(group, found, options, scratch):
    """Runs the cases that differ once more, with fresh proxies: a busy machine makes timing differ."""
    if not found:
        return found
    again = copy.copy(group)
    again.cases = [c for c in group.cases if c.name in found]
    results = run_group(again, options, scratch)
    wanted = wanted_observations(again, results, options)
    if any(isinstance(side, StartFailed) for side in (wanted, results["subject"])):
        return found
    return differences(again.cases, wanted, results["subject"], options)


class Both:
    """Writes to the terminal and, if asked, to a file."""

    def __init__(self, path):
        self.targets = [sys.stdout] + ([open(path, "w", encoding="utf-8")] if path else [])

    def write(self, text):
        for target in self.targets:
            target.write(text)


def main():
    options = arguments()
    wanted = re.compile(options.filter)
    groups = [Group(path, wanted) for path in sorted((HERE / "cases").glob("*.py"))]
    groups = [g for g in groups if g.cases and (options.later or not g.later)]
    if options.list:
        for group in groups:
            print("\n".join(f"{group.name}/{c.name}" for c in group.cases))
        return 0
    scratch = tempfile.mkdtemp(prefix="nuncio-compat-")
    tally, out = report.Tally(), Both(options.out)
    try:
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            running = {g.name: pool.submit(run_group, g, options, scratch) for g in groups}
            for group in groups:
                judge(group, running[group.name].result(), options, tally, out, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if options.subject:
        print(tally.summary())
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
