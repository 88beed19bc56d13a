"""JUnit XML, as CI servers read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

__all__ = ["Case", "junit_xml"]

#: Characters that XML 1.0 cannot hold, in whatever form.
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Case:
    """One test case; `kind` is empty when it passed, else `failed` or `error`."""

    group: str
    name: str
    kind: str = ""
    report: str = ""


def junit_xml(suite: str, cases: Sequence[Case]) -> str:
    """A whole document with one suite. It has no times, so that equal runs give equal files."""
    failed = sum(case.kind == "failed" for case in cases)
    errors = sum(case.kind == "error" for case in cases)
    counts = f'tests="{len(cases)}" failures="{failed}" errors="{errors}"'
    body = "".join(map(_case, cases))
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f"<testsuites {counts}>\n<testsuite name={_attribute(suite)} {counts}>\n"
        f"{body}</testsuite>\n</testsuites>\n"
    )


def _case(case: Case) -> str:
    head = f"<testcase classname={_attribute(case.group)} name={_attribute(case.name)}"
    if not case.kind:
        return f"{head}/>\n"
    tag = "failure" if case.kind == "failed" else "error"
    first = case.report.split("\n", 1)[0]
    text = escape(_UNFIT.sub("?", case.report))
    return f"{head}>\n<{tag} message={_attribute(first)}>{text}</{tag}>\n</testcase>\n"


def _attribute(text: str) -> str:
    return quoteattr(_UNFIT.sub("?", text))
