"""References: what is named must be there, and what is there must be named."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from orchestrator.validation import Settings, check_file, check_text


def codes(text: str, **settings: Any) -> list[str]:
    """The codes found in a config without its first line, `version: 1`."""
    text = "version: 1\n" + textwrap.dedent(text).lstrip("\n")
    return [problem.code for problem in check_text(text, "t.yaml", Settings(**settings)).problems]


def test_an_installed_package_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module behind an entry point raises on import: the step is marked, nothing else fails."""
    broken = {"page": "json:no_such_class"}
    monkeypatch.setattr("orchestrator.registry.Registry._entry_points", lambda self: broken)
    assert codes("session: {user_turn: [{page: x}]}") == ["HK625"]


def test_a_plugin_that_is_not_here_is_fine_offline() -> None:
    """Without --check-env only the actions that nobody knows are findings."""
    text = "plugins: [not.installed]\nsession: {user_turn: [{say: hi}]}"
    assert codes(text) == []
    assert codes(text, variables={}) == ["HK603"]


def test_of_an_unknown_action_what_can_be_read_is_checked() -> None:
    """Its options are its own; templates, and what stands beside it, are not. What it saves is."""
    text = "session: {user_turn: [{plya: {x: '{{ event.text }}'}, save: song}, {log: '{{ data.song }}'}]}"
    assert codes(text) == ["HK221"]
    text = "session: {user_turn: [{plya: {x: '{{ event.txt }}', y: 1}, timeout: soon}]}"
    assert codes(text) == ["HK221", "HK202", "HK108"]


def test_a_broken_connection_is_one_finding() -> None:
    """Steps that use a connection that could not be read are not blamed."""
    text = """
    connections: {shop: {kind: htpp}}
    session: {user_turn: [{http: {connection: shop, path: /}, save: a}]}
    """
    assert codes(text) == ["HK107"]


def test_nothing_is_called_unused_while_something_is_wrong() -> None:
    """A use may be hidden in what could not be read."""
    text = "vars: {queue: x}\nsession: {user_turn: [{say: '{{ vars.queue '}]}"
    assert codes(text) == ["HK302"]


def test_a_function_is_imported_only_when_asked() -> None:
    """Offline, a function needs only the form of a name."""
    text = "session: {user_turn: [{python: 'no_such_module:f'}]}"
    assert codes(text) == []
    assert codes(text, variables={}) == ["HK604"]


def test_names_of_included_files_count(tmp_path: Path) -> None:
    """A chain of an included file can be run, and its uses count as uses."""
    (tmp_path / "parts.yaml").write_text("version: 1\nchains: {bye: [{say: bye}]}\n")
    main = tmp_path / "main.yaml"
    main.write_text("version: 1\ninclude: [parts.yaml]\nsession: {user_turn: [{run: bye}]}\n")
    assert check_file(main).problems == ()


def test_a_finding_in_an_included_file_names_that_file(tmp_path: Path) -> None:
    """Positions are those of the file that holds the mistake."""
    (tmp_path / "parts.yaml").write_text("version: 1\nchains: {bye: [{sya: bye}]}\n")
    main = tmp_path / "main.yaml"
    main.write_text("version: 1\ninclude: [parts.yaml]\nsession: {user_turn: [{run: bye}]}\n")
    assert [Path(p.position.file).name for p in check_file(main).problems] == ["parts.yaml"]


def test_what_stands_under_a_misspelt_key_is_checked() -> None:
    """All mistakes come in one go: a near miss is read as what was meant."""
    text = """
        version: 1
        name: a
        sesion:
          user_tunr:
            - nmae: t
              do:
                - sya: hello
                - log: "{{ event.txt }}"
                  wehn: event.text is matching(
    """
    problems = check_text(textwrap.dedent(text).lstrip("\n"), "t.yaml").problems
    found = [(problem.position.line, problem.code) for problem in problems]
    assert found == [
        (3, "HK105"), (4, "HK220"), (5, "HK105"), (7, "HK221"), (8, "HK202"), (9, "HK105"),
        (9, "HK301"),
    ]  # fmt: skip
