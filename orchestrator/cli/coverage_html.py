"""Coverage as one HTML page: the YAML lines, coloured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from orchestrator.document import Document
from orchestrator.testing.coverage import CoverageReport, Item

__all__ = ["coverage_html"]

_STYLE = """\
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1b1b;
  margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
a { color: inherit; }
pre span:target { outline: 2px solid; }
pre { border: 1px solid #ccc; padding: 0; overflow-x: auto; }
pre span { display: block; padding: 0 .8rem; min-height: 1.5em; font: 13px/1.5 monospace; }
pre i { color: #777; font-style: normal; display: inline-block; width: 3.5em; user-select: none; }
.full { background: #e2f5e2; } .part { background: #fff3c4; } .none { background: #ffdcdc; }
@media (prefers-color-scheme: dark) {
  body { background: #161616; color: #e6e6e6; } pre { border-color: #444; }
  .full { background: #173a1c; } .part { background: #4a3b07; } .none { background: #55191c; }
}
"""


def coverage_html(reports: Sequence[CoverageReport]) -> str:
    """The whole page. It needs nothing from elsewhere, and runs no script."""
    body = "".join(
        part for number, report in enumerate(reports) for part in _report(report, number)
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>Coverage of call tests</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n"
        "<h1>Coverage of call tests</h1>\n"
        '<p><span class="full">exercised</span> · <span class="part">in part</span> · '
        f'<span class="none">not exercised</span></p>\n{body}</body>\n</html>\n'
    )


def _report(report: CoverageReport, number: int) -> Iterator[str]:
    # What each line of a file is called on this page: several configs may include one file.
    names = {file: f"c{number}f{n}" for n, file in enumerate(sorted(report.documents))}
    covered = len(report.items) - len(report.missing)
    yield f"<h2>{escape(report.file)}</h2>\n"
    yield f"<p>{covered} of {len(report.items)} exercised: {report.percent:g} %</p>\n"
    if report.missing:
        yield "<ul>\n"
        for item in report.missing:
            place = f'<a href="#{names[item.file]}-{item.line}">{escape(item.file)}:{item.line}</a>'
            yield f"<li><code>{place}</code> never: {escape(item.what)}</li>\n"
        yield "</ul>\n"
    for file, document in sorted(report.documents.items()):
        items = [item for item in report.items if item.file == file]
        yield from _source(document, items, names[file])


def _source(document: Document, items: Sequence[Item], anchor: str) -> Iterator[str]:
    yield f"<h3>{escape(document.file)}</h3>\n<pre>"
    classes = _classes(document.lines, items)
    for number, text in enumerate(document.lines, start=1):
        missing = [item.what for item in items if item.line == number and not item.is_covered]
        title = f' title="never: {escape("; ".join(missing))}"' if missing else ""
        name = classes.get(number)
        attribute = f' class="{name}"' if name else ""
        yield f'<span id="{anchor}-{number}"{attribute}{title}>'
        yield f"<i>{number}</i>{escape(text)}</span>"
    yield "</pre>\n"


def _classes(lines: Sequence[str], items: Sequence[Item]) -> dict[int, str]:
    """The colour of each line: its own items', or those of the item that it belongs to."""
    by_line: dict[int, list[Item]] = {}
    for item in items:
        by_line.setdefault(item.line, []).append(item)
    found: dict[int, str] = {}
    current: tuple[int, str] | None = None
    for number, text in enumerate(lines, start=1):
        indent = len(text) - len(text.lstrip(" "))
        if number in by_line:
            current = (indent, _class(by_line[number]))
        elif not text.strip() or text.lstrip().startswith("#"):
            continue
        elif current is not None and indent <= current[0]:
            current = None
        if current is not None:
            found[number] = current[1]
    return found


def _class(items: Sequence[Item]) -> str:
    covered = sum(item.is_covered for item in items)
    return "full" if covered == len(items) else "part" if covered else "none"
