"""`orchestrator validate`: which files, which exit code, what is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import group
from tests.cli import run_cli

GOOD = "version: 1\nsession:\n  call_start:\n    - say: hi\n"
WARNS = "version: 1\nvars: {unused: 1}\nsession:\n  call_start:\n    - say: hi\n"
BAD = "version: 1\nsession:\n  call_start:\n    - sya: hi  # a comment\n"


def validate(*args: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(group, ["validate", *args], input=stdin, standalone_mode=False)


def code_of(result: Result) -> object:
    return result.return_value


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_good_file_gives_0(folder: Path) -> None:
    """Nothing found: exit code 0 and one line."""
    (folder / "a.yaml").write_text(GOOD)
    result = validate("a.yaml")
    assert (code_of(result), result.output) == (0, "1 file checked: no problems\n")


def test_warnings_give_0_unless_denied(folder: Path) -> None:
    """A warning fails a run only when it is asked to."""
    (folder / "a.yaml").write_text(WARNS)
    assert code_of(validate("a.yaml")) == 0
    assert code_of(validate("a.yaml", "--deny-warnings")) == 1


def test_findings_give_1(folder: Path) -> None:
    """An error is exit code 1, with its place."""
    (folder / "a.yaml").write_text(BAD)
    result = validate("a.yaml")
    assert code_of(result) == 1
    assert " --> a.yaml:4:7" in result.output


def test_a_missing_file_gives_3() -> None:
    """What cannot be read is a failure of the environment; run for real, as a script does."""
    command = [sys.executable, "-m", "orchestrator", "validate", "no-such.yaml"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    found = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert (found.returncode, found.stdout) == (3, "")
    assert found.stderr == "error: no such file or folder: 'no-such.yaml'\n"


def test_wrong_usage_gives_2() -> None:
    """An unknown target is wrong usage."""
    command = [sys.executable, "-m", "orchestrator", "validate", "x.yaml", "--target", "fax"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    found = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert found.returncode == 2


def test_a_folder_is_searched_for_configs(folder: Path) -> None:
    """Call tests and files of other programs are passed over, and named."""
    (folder / "deep").mkdir()
    (folder / "deep" / "a.yml").write_text(GOOD)
    (folder / "a.calltest.yaml").write_text("config: a.yaml\ntests: []\n")
    (folder / "docker.yaml").write_text("services: {}\n")
    (folder / ".hidden.yaml").write_text(BAD)
    result = validate(".")
    assert result.output == (
        "1 file checked: no problems; passed over: a.calltest.yaml, docker.yaml\n"
    )


def test_a_config_without_version_is_not_passed_over(folder: Path) -> None:
    """A config that lacks its version is a broken config, not somebody else's file."""
    (folder / "a.yaml").write_text(GOOD.replace("version: 1\n", ""))
    assert "HK101" in validate(".").output


def test_a_folder_without_configs_gives_3(folder: Path) -> None:
    """To check nothing is no success."""
    assert "no config in" in str(validate(".").exception)


def test_the_standard_input_is_read(folder: Path) -> None:
    """`-` is the standard input."""
    assert " --> <stdin>:4:7" in validate("-", stdin=BAD).output


@pytest.mark.parametrize(("form", "where"), [("junit", "<failure"), ("sarif", "%3Cstdin%3E")])
def test_reports_by_file_know_the_standard_input(form: str, where: str) -> None:
    """Its findings are those of the one file that was checked."""
    output = validate("-", "--format", form, stdin=BAD).output
    assert output.count(where) >= (1 if form == "junit" else 2)
    assert '"uri": "-"' not in output


def test_an_included_file_is_reported_once(folder: Path) -> None:
    """A mistake in a file that is both checked and included is one finding."""
    (folder / "part.yaml").write_text(BAD)
    (folder / "a.yaml").write_text("version: 1\ninclude: [part.yaml]\n")
    assert validate(".").output.count("HK221") == 1


def test_unknown_actions_can_pass(folder: Path) -> None:
    """Where plugins are not installed, unknown actions can be let pass."""
    (folder / "a.yaml").write_text("version: 1\nsession:\n  call_start:\n    - page: x\n")
    assert code_of(validate("a.yaml")) == 1
    assert code_of(validate("a.yaml", "--allow-unknown-actions")) == 0


def test_fix_mends_in_place_and_keeps_the_rest(folder: Path) -> None:
    """A safe fix changes the word and nothing else of the file."""
    text = (
        "version: 1 # keep\r\nsession:\r\n  user_turn:\r\n  - log: {message: hi, levle: debgu}\r\n"
    )
    (folder / "a.yaml").write_bytes(text.encode())
    result = validate("a.yaml", "--fix")
    assert code_of(result) == 0
    mended = text.replace("levle", "level").replace("debgu", "debug")
    assert (folder / "a.yaml").read_bytes() == mended.encode()


def test_fix_mends_the_name_of_an_action(folder: Path) -> None:
    """With one likely meaning, as for every other misspelt word."""
    (folder / "a.yaml").write_text("version: 1\nsession:\n  user_turn:\n    - sya: hi # keep\n")
    assert code_of(validate("a.yaml", "--fix")) == 0
    assert (folder / "a.yaml").read_text().endswith("    - say: hi # keep\n")


def test_a_path_that_is_not_there_hides_nothing(folder: Path) -> None:
    """What can be checked is reported in full, then the exit code says that something failed."""
    (folder / "a.yaml").write_text(BAD)
    ran = run_cli("validate", "a.yaml", "gone.yaml", "--format", "sarif")
    assert ran.code == 3
    assert len(json.loads(ran.out)["runs"][0]["results"]) == 1
    assert ran.err == "error: no such file or folder: 'gone.yaml'\n"


def test_a_folder_takes_misspelt_and_wide_files_for_configs(folder: Path) -> None:
    """Two of our words misspelt are no coincidence; a file in UTF-16 is a config all the same."""
    (folder / "a.yaml").write_text(GOOD)
    (folder / "b.yaml").write_text(GOOD.replace("version", "vesion").replace("session", "sesion"))
    (folder / "c.yaml").write_text(GOOD, encoding="utf-16")
    (folder / "d.yaml").write_text("services: {web: {image: x}}\nversions: 3\n")
    ran = run_cli("validate", ".")
    assert ran.code == 1
    assert "3 files checked" in ran.out
    assert "3 errors; passed over: d.yaml" in ran.out
    assert "\x00" not in ran.out


def test_colour_is_for_terminals_only(folder: Path) -> None:
    """A pipe gets plain text."""
    (folder / "a.yaml").write_text(BAD)
    assert "\x1b" not in validate("a.yaml").output


def test_a_pipe_is_read_as_a_file(folder: Path) -> None:
    """`orchestrator validate <(cat a.yaml)`: any path that can be read and is no folder."""
    read, write = os.pipe()
    os.write(write, GOOD.encode())
    os.close(write)
    result = validate(f"/dev/fd/{read}")
    os.close(read)
    assert (code_of(result), result.output) == (0, "1 file checked: no problems\n")


def test_an_empty_device_is_an_empty_file(folder: Path) -> None:
    """It is read, and there is no hook in it."""
    result = validate(os.devnull)
    assert code_of(result) == 1
    assert "the file is empty" in result.output


MAIN = """version: 1
include: [parts/greet.yaml]
vars: {queue: tier-2}
chains: {bye: [{end_call: done}]}
session:
  call_start:
    - set: {name: Ada}
"""
PART = """version: 1
session:
  dtmf:
    - log: "{{ vars.queue }} {{ data.name }}"
    - run: bye
"""


@pytest.fixture
def config_of_two(folder: Path) -> Path:
    (folder / "parts").mkdir()
    (folder / "main.yaml").write_text(MAIN)
    (folder / "parts" / "greet.yaml").write_text(PART)
    return folder


@pytest.mark.parametrize("paths", [["."], ["main.yaml"], ["parts/greet.yaml"], ["parts"]])
def test_an_included_file_need_not_stand_alone(config_of_two: Path, paths: list[str]) -> None:
    """It is checked as part of the file that includes it, in the run or near it."""
    result = validate(*paths)
    assert code_of(result) == 0, result.output
    assert ("checked as part of main.yaml" in result.output) == ("parts" in paths[0])


def test_actions_of_the_plugins_of_the_whole_are_known_in_a_part(config_of_two: Path) -> None:
    """A part given alone is checked with them."""
    (config_of_two / "main.yaml").write_text(MAIN + "plugins: [tests.limited]\n")
    part = "version: 1\nsession: {dtmf: [{send_text: hi}]}\n"
    (config_of_two / "parts" / "greet.yaml").write_text(part)
    result = validate("parts/greet.yaml")
    assert "checked as part of main.yaml" in result.output
    assert "HK221" not in result.output


def test_a_mistake_in_an_included_file_is_found_once(config_of_two: Path) -> None:
    """Whichever way the file is named, its own mistakes are told, with their place in it."""
    part = config_of_two / "parts" / "greet.yaml"
    part.write_text(PART.replace("vars.queue", "vars.qeue"))
    for path in (".", "main.yaml", "parts/greet.yaml"):
        result = validate(path)
        assert code_of(result) == 1
        assert result.output.count("error[") == 1
        assert "parts/greet.yaml:4:" in result.output


def test_files_that_include_one_another_are_checked(folder: Path) -> None:
    """None of a circle is passed over as a part of the other."""
    (folder / "a.yaml").write_text("version: 1\ninclude: [b.yaml]\n")
    (folder / "b.yaml").write_text("version: 1\ninclude: [a.yaml]\n")
    assert code_of(validate(".")) == 1


def test_a_part_whose_whole_is_not_near_says_what_to_do(folder: Path) -> None:
    """One line, after the findings."""
    (folder / "greet.yaml").write_text(PART)
    result = validate("greet.yaml")
    assert code_of(result) == 1
    assert result.output.endswith("greet.yaml: if another file includes it, check that one\n")


def test_fix_mends_included_files_as_parts_of_the_whole(config_of_two: Path) -> None:
    """The names that the whole defines are known when its part is mended."""
    part = config_of_two / "parts" / "greet.yaml"
    part.write_text(PART.replace("- run: bye", "- run: byee"))
    result = validate("--fix", "main.yaml")
    assert code_of(result) == 0, result.output
    assert part.read_text() == PART
    assert "parts/greet.yaml: mended 1 place" in result.output


def test_what_one_config_does_not_use_of_a_part_another_may(folder: Path) -> None:
    """Only what no config that includes a part uses is used nowhere."""
    (folder / "lib").mkdir()
    part = "version: 1\nvars: {zone: x, hours: y, nobody: z}\nchains: {bye: [{log: bye}], hi: [{log: hi}]}\n"
    (folder / "lib" / "base.yaml").write_text(part)
    for name, uses in {
        "a": "{run: bye}, {log: '{{ vars.zone }}'}",
        "b": "{run: hi}, {log: '{{ vars.hours }}'}",
    }.items():
        text = f"version: 1\nname: {name}\ninclude: [lib/base.yaml]\nsession: {{user_turn: [{uses}]}}\n"
        (folder / f"{name}.yaml").write_text(text)
    for paths in (["."], ["a.yaml"], ["./b.yaml", "a.yaml"], ["a.yaml", "./a.yaml"]):
        output = validate(*paths).output
        assert output.count("is used nowhere") == 1, output
        assert "var `nobody`" in output
    (folder / "b.yaml").unlink()
    assert validate("a.yaml").output.count("is used nowhere") == 3


@pytest.mark.parametrize("paths", [["."], ["a.yaml"], ["b.yaml", "a.yaml"]])
def test_a_fix_in_a_part_is_good_for_all_that_include_it(folder: Path, paths: list[str]) -> None:
    """One that mends it for one config and breaks it for another is not made, and that is said."""
    part = folder / "part.yaml"
    part.write_text("version: 1\nchains: {note: [{log: '{{ vars.quee }} {{ call.idd }}'}]}\n")
    for name, var in {"a": "queue", "b": "queen"}.items():
        text = f"version: 1\nname: {name}\ninclude: [part.yaml]\nvars: {{{var}: x}}\nsession: {{user_turn: [{{run: note}}]}}\n"
        (folder / f"{name}.yaml").write_text(text)
    result = validate("--fix", *paths)
    assert (
        part.read_text() == "version: 1\nchains: {note: [{log: '{{ vars.quee }} {{ call.id }}'}]}\n"
    )
    assert result.output.count("part.yaml: mend 1 place by hand: a fix brings other findings") == 1


def test_a_fix_that_would_bring_other_findings_is_said(folder: Path) -> None:
    """It is offered again and again otherwise, and never made."""
    (folder / "a.yaml").write_text(
        "version: 1\nname: a\nsession: {user_turn: [{emitt: {to: ops}}]}\n"
    )
    before = (folder / "a.yaml").read_text()
    result = validate("--fix", "a.yaml")
    assert "did you mean `emit`" in result.output
    assert "a.yaml: mend 1 place by hand" in result.output
    assert (folder / "a.yaml").read_text() == before
