"""Replacements that are odd: without a slash, empty, with references to nothing."""
from case import case, get

REDIRECTS = ["path", "path-query", "path-empty", "prefix", "prefix-empty", "prefix-query", "prefix-host",
             "prefix-strip"]
EXPRESSIONS = ["all", "slash", "question", "no-group", "no-group-whole", "no-escape", "cut", "backslash",
               "nothing-found", "empty-matches", "boundary", "either", "hash"]

CASES = [case(f"redirect by {name}", "main", get(f"/r-{name}/ab/aab?q=ab")) for name in REDIRECTS]
CASES += [case(f"redirect by expression, {name}", "main", get(f"/rx-{name}/ab/aab?q=ab")) for name in EXPRESSIONS]
CASES += [case(f"rewrite by expression, {name}", "main", get(f"/f-{name}/ab/aab?q=ab")) for name in EXPRESSIONS]
