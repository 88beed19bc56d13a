"""How actions come in: built-in, by `plugins:`, and from an installed package."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from orchestrator.errors import EnvironmentFailure, UserError
from orchestrator.registry import BUILTIN_ACTIONS, Registry, import_name
from tests.kit import lines, run

PACKAGE = Path(__file__).parent / "data" / "plugin_package"


@pytest.mark.parametrize("name", sorted(BUILTIN_ACTIONS))
def test_each_built_in_can_be_imported_alone_and_has_a_manual_with_an_example(name: str) -> None:
    """`import actions.<name>` works by itself; its docstring teaches."""
    module = BUILTIN_ACTIONS[name].split(":")[0]
    importlib.import_module(module)
    action = Registry().action(name)
    assert action is not None
    assert action.name == name
    assert "```yaml" in action.manual
    assert f"{name}:" in action.manual
    for option in action.options.values():
        assert option.doc, f"option `{option.name}` of {name} has no documentation"


def test_importing_an_action_costs_no_heavy_library() -> None:
    """httpx, SQLAlchemy and phonenumbers are imported when they are used."""
    code = (
        "import sys, importlib\n"
        "from orchestrator.registry import Registry\n"
        "assert [a.options for a in Registry()]\n"
        "heavy = {'httpx', 'sqlalchemy', 'phonenumbers', 'rich'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_plugin_module_adds_its_classes_by_their_snake_case_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`plugins: [module]`; the class is used like a built-in."""
    monkeypatch.syspath_prepend(PACKAGE)
    text = """
    plugins: [acme_hooks.paging]
    session:
      user_turn:
        - {page_on_call: "{{ event.text }}", save: page}
    """
    played = run(text, [{"t": 1, "user_turn": "billing"}, {"t": 2, "user_turn": "nobody"}])
    first, second = lines(played, step="page_on_call")
    assert first["output"] == {"paged": "billing", "urgency": "high", "call": "call-1"}
    assert (second["status"], second["error"]) == ("failed", "nobody is on call")


def test_an_installed_package_adds_its_actions_by_its_entry_points(tmp_path: Path) -> None:
    """A separate package, built and installed, is found without `plugins:`."""
    target = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
         "--disable-pip-version-check", "--target", str(target), str(PACKAGE)],
        check=True,
    )  # fmt: skip
    code = f"""
    import sys
    sys.path.insert(0, {str(target)!r})
    from orchestrator.registry import Registry
    from orchestrator.validation import check_text
    action = Registry().action("page_on_call")
    assert action.origin.startswith("package acme_hooks"), action.origin
    good = check_text("version: 1\\nsession:\\n  user_turn: [{{page_on_call: x}}]\\n")
    assert good.is_good, good.problems
    bad = check_text("version: 1\\nsession:\\n  user_turn: [{{page_on_call: {{servce: x}}}}]\\n")
    assert [p.code for p in bad.problems] == ["HK105"], bad.problems
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_names_of_the_language_cannot_be_actions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A plugin's class `When` would hide a step key."""
    (tmp_path / "bad_plugin.py").write_text(
        "from orchestrator import Action\nclass When(Action):\n    '''No.'''\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="word of the language"):
        Registry().load_plugin("bad_plugin")


def test_two_actions_of_one_name_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A plugin cannot silently replace an action that is in use."""
    (tmp_path / "second_say.py").write_text(
        "from orchestrator import Action\nclass Say(Action):\n    '''No.'''\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry()
    registry.action("say")
    with pytest.raises(UserError, match="comes from built-in and again"):
        registry.load_plugin("second_say")


@pytest.mark.parametrize(
    "source", ["raise RuntimeError('no')", "1/0", "import no_such_module", "def"]
)
def test_a_plugin_that_cannot_be_imported_is_one_clear_failure(
    source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever its module does on import."""
    name = f"broken_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EnvironmentFailure, match=f"cannot import '{name}'"):
        Registry().load_plugin(name)


def test_import_name_says_what_is_missing() -> None:
    """Module or attribute."""
    with pytest.raises(EnvironmentFailure, match="has no 'nothing'"):
        import_name("tests.hooks:nothing")
