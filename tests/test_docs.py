"""The documents say what is true: commands, links, examples."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.cli import COMMANDS
from orchestrator.templates import parse_template
from orchestrator.templates.library import CALLS, FILTERS, TESTS, Function
from orchestrator.validation import check_text
from tests.templates_scope import FakeScope

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file of the project is a file of the project."""
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_whole_configs_in_documents_are_good(page: Path) -> None:
    """What a reader copies validates."""
    for text in blocks(page, "yaml"):
        if re.search(r"^version: 1", text, re.MULTILINE) and re.search(
            r"^(session|runner):", text, re.MULTILINE
        ):
            checked = check_text(text, str(page))
            assert checked.config is not None
            assert checked.is_good, checked.problems


def test_the_readme_names_every_command() -> None:
    """A command that is added is described."""
    text = (ROOT / "README.md").read_text()
    assert [name for name in COMMANDS if f"`{name}`" not in text] == []


def test_the_manual_of_the_actions_is_fresh() -> None:
    """docs/actions.md is what `orchestrator actions --format markdown` prints; `make schema`."""
    from click.testing import CliRunner

    from orchestrator.cli import group

    result = CliRunner().invoke(group, ["actions", "--format", "markdown"])
    assert (ROOT / "docs" / "actions.md").read_text() == result.output


def test_the_script_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    """Embedding in a few lines; it plays the call at the speed of life."""
    import shutil
    import subprocess
    import sys

    (code,) = [c for c in blocks(ROOT / "README.md", "python") if "asyncio.run(main())" in c]
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "journals" / "quickstart.jsonl").stat().st_size > 500


def test_the_action_of_the_manual_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The class is checked, its output is known to later steps, and its test passes."""
    action, test = blocks(ROOT / "docs" / "extending.md", "python")
    (tmp_path / "tickets_of_the_manual.py").write_text(action + test)
    monkeypatch.syspath_prepend(str(tmp_path))
    config = (
        "version: 1\nplugins: [tickets_of_the_manual]\n"
        "connections: {desk: {kind: http, base_url: 'https://desk.example'}}\n"
        "session:\n  user_turn:\n    - name: a\n      do:\n"
        "        - open_ticket: {title: x, connection: desk, urgent: true}\n          save: t\n"
        "        - say: 'ticket {{ data.t.nubmer }}'\n"
    )
    problems = check_text(config, "a.yaml").problems
    assert [(p.position.line, p.message) for p in problems] == [
        (8, "`open_ticket`: an urgent ticket needs a `team`"),
        (10, "there is no `nubmer` in `data.t`"),
    ]


def rows(head: str) -> dict[str, list[str]]:
    """The rows of a table of language.md by the name in their first column."""
    text = (ROOT / "docs" / "language.md").read_text()
    table = text.split(f"| {head} |", 1)[1].split("\n\n", 1)[0]
    cells = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in table.splitlines()[2:]]
    return {row[0].strip("`"): row[1:] for row in cells}


@pytest.mark.parametrize(("head", "table"), [("filter", FILTERS), ("test", TESTS)])
def test_the_language_page_has_every_filter_and_test(
    head: str, table: Mapping[str, Function]
) -> None:
    """With what it takes, and an example that gives what is written there."""
    words = {"bool": "true or false", "record": "mapping"}
    found = rows(head)
    assert list(found) == list(table)
    for name, (takes, _, example) in found.items():
        kinds = [words.get(kind, kind) for kind in table[name].takes]
        assert takes == (", ".join(kinds) or "anything"), name
        expression, result = example.replace("\\|", "|").strip("`").split("` is `")
        template = parse_template("{{ " + expression + " }}")
        assert template.faults == (), name
        assert template.compile()(FakeScope(data={})) == json.loads(result), name


def test_the_language_page_has_every_call() -> None:
    """And each example is one that can be written."""
    found = rows("call")
    assert list(found) == list(CALLS)
    for name, (_, example) in found.items():
        template = parse_template("{{ " + example.strip("`") + " }}")
        assert (template.faults, template.calls[0][0]) == ((), name)
