"""Tests of call tests: what their files may say, and how a call is compared with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import ConfigError, EnvironmentFailure, ScriptError
from orchestrator.testing import TestResult, load_call_tests, run_call_test
from tests.played import LOOKUP, SUPPORT, one, write

EXAMPLE = """\
tests:
  - name: a silent caller is nudged twice, then the call ends
    call: {user_number: "+15550100"}
    events:
      - {t: 0, agent_turn: "How can I help?"}
    expect:
      - {t: 8, say: {text: "Are you still there?"}}
      - {t: 16, say: any}
      - {t: 21, end_call: no_response}
    never: [escalate_transfer]
"""


def run(folder: Path, tests: str, config: str = SUPPORT) -> TestResult:
    """Run the first test of a file."""
    loaded = load_call_tests(write(folder, tests, config))
    return run_call_test(loaded.tests[0], loaded.plan)


def check(folder: Path, body: str, config: str = SUPPORT) -> str:
    """Run one test; the first difference, or nothing."""
    return run(folder, one(body), config).report


def mistakes(folder: Path, tests: str, config: str = SUPPORT) -> list[str]:
    """The mistakes of a file, without the folder's name."""
    path = write(folder, tests, config)
    with pytest.raises(ScriptError) as error:
        load_call_tests(path)
    return str(error.value).replace(f"{folder}/", "").split("\n")


TURN = '    events: [{t: 1, user_turn: "a human"}]\n'


def test_the_example_of_the_design_passes(tmp_path: Path) -> None:
    """Two nudges and the end, at their exact times."""
    assert run(tmp_path, EXAMPLE).has_passed


@pytest.mark.parametrize(
    "body",
    [
        TURN + "    expect: [{say: any}, {transfer: any}]\n",
        TURN + "    expect: [{t: 1, escalate_transfer: {queue: tier-2, mode: cold}}]\n",
        TURN + "    expect: [{t: {from: 0, to: 2}, say: {matching: connecting}}]\n",
        TURN + '    expect: [{say: ["No.", "Connecting you now."]}]\n',
        TURN + "    expect: [{remember: {key: asked, value: a human}}]\n",
        TURN + "    expect: [{hook: any}, {hook: asks for a human}]\n    only: [hook]\n",
        TURN + "    call: {transfer_outcome: answered}\n    expect: [{transfer: tier-2}]\n"
        "    state: transferred\n",
        TURN + "    call: {transfer_outcome: {tier-2: busy}, transfer_delay: 4s}\n"
        "    expect: [{t: 5, say: Nobody is free.}]\n",
        TURN + "    call: {refuses: [escalate_transfer]}\n    expect: [{t: 1, say: Nobody is free.}]\n",
        TURN + "    call: {ends: 3}\n    state: hangup\n    never: [end_call]\n",
        TURN + "    journal: [{event: user_turn}, {hook: asks for a human, ran: true}]\n",
        TURN + "    call: {data: {tier: gold}}\n    data: {tier: gold, other: null}\n",
        '    events: [{t: 1, user_turn: "no"}]\n    expect: [{t: 1, skipped: asks for a human}]\n',
        "    call: {ends: 30}\n    expect: [{timer: {name: silence, is: fired, rung: 3}}]\n",
    ],
)  # fmt: skip
def test_a_test_passes_when_all_is_as_expected(tmp_path: Path, body: str) -> None:
    """Each form of expectation meets what it describes."""
    assert check(tmp_path, body) == ""


SILENT = '    events: [{t: 0, agent_turn: "How can I help?"}]\n'


@pytest.mark.parametrize(
    "body",
    [
        SILENT + "    expect: [{end_call: no_response}]\n",
        SILENT + "    expect: [{say: Are you still there?}, {end_call: no_response}]\n",
        SILENT
        + "    expect: [{t: 8, say: any}, {t: {from: 15, to: 17}, say: any}, {end_call: any}]\n",
        SILENT + "    state: ended\n",
        SILENT + "    journal: [{do: end_call}]\n",
        SILENT + "    expect: [{say: any}]\n    state: ended\n",
        SILENT + "    expect: [{say: any}]\n    never: [end_call]\n",
        SILENT + "    never: [say]\n    state: hangup\n",
    ],
)
def test_the_end_that_hooks_make_is_waited_for(tmp_path: Path, body: str) -> None:
    """And nothing beyond what is expected: a `never` holds until then."""
    assert check(tmp_path, body) == ""


def test_of_a_call_that_hooks_end_the_whole_is_shown(tmp_path: Path) -> None:
    """Not one that a hang-up of the test's own cut short."""
    report = check(tmp_path, SILENT + "    expect: [{end_call: bored}]\n")
    assert 'end_call "no_response"' in report
    assert "hangup" not in report


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("    expect: [{t: 7, say: any}]\n", "expected say any at 7 s, but it came at 8 s"),
        ("    expect: [{t: 8, say: Hello}]\n", 'what came at 8 s is say "Are you still there?"'),
        ("    expect: [{transfer: any}]\n", "but no transfer came"),
        (
            "    expect: [{end_call: any}, {say: any}]\n",
            "expected say any, but it came before, at 16 s: the order is another",
        ),
        (
            '    expect: [{t: 16, say: any}, {say: "Are you still there?"}]\n',
            "but it came before, at 8 s: the order is another",
        ),
        ("    call: {ends: 9}\n    never: [say]\n", "say must never happen, but it did at 8 s"),
        ("    call: {ends: 9}\n    never: [{say: {containing: still}}]\n", "must never happen"),
        ("    call: {ends: 9}\n    only: [say]\n", "came at 8 s, which was not expected"),
        ("    call: {ends: 9}\n    state: ended\n", 'to end as "ended", but it is "hangup"'),
        ("    call: {ends: 9}\n    data: {x: 1}\n", "data.x was to be 1, but it is null"),
        ("    call: {ends: 9}\n    journal: [{hook: x}]\n", "there is, at 0 s: "),
    ],
)
def test_the_first_difference_is_named(tmp_path: Path, body: str, words: str) -> None:
    """The report begins with what differs, in one sentence."""
    assert words in check(tmp_path, body)


def test_what_came_too_early_is_shown_however_long_ago(tmp_path: Path) -> None:
    """Above the rows around the difference."""
    turns = ", ".join(f"{{t: {t}, user_turn: x}}" for t in range(20, 60, 4))
    body = f"    events: [{turns}]\n    call: {{ends: 70}}\n    expect: [{{t: 56, event: any}}, "
    report = check(tmp_path, body + '{say: "Are you still there?"}]\n')
    assert "<      8 s" in report
    assert report.count("user_turn") <= 5


WEBHOOK = """version: 1
name: support
connections: {c: {kind: http, base_url: "https://c.example"}}
session:
  dtmf:
    - webhook:
        connection: c
        path: /a/path/that/is/long/enough/to/use/up/the/width/of/the/line
        json: {digit: "{{ event.digit }}", items: [{n: 1}, {n: 2}]}
"""


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ('{json: {digit: "2"}}', ['its json.digit was to be "2", but is "1"']),
        ("{path: /b, json: {items: [{n: 1}, {n: 3}]}}", ["its path was to be", "its json.items[1].n was to be 3, but is 2"]),
        ("{json: {items: [{n: 1}]}}", ["its json.items was to be [{n: 1}], but is"]),
        ("{json: {other: any, digit: any, none: 1}}", ["its json.none was to be 1, but is null"]),
    ],
)  # fmt: skip
def test_the_field_that_differs_is_named(tmp_path: Path, expected: str, words: list[str]) -> None:
    """However wide its line would be."""
    body = f"    events: [{{t: 1, dtmf: '1'}}]\n    expect: [{{webhook: {expected}}}]\n"
    report = check(tmp_path, body, WEBHOOK)
    assert all(word in report for word in words), report
    assert report.count("\n  its ") == len(words)


def test_the_difference_is_shown_on_a_timeline(tmp_path: Path) -> None:
    """Expected stands beside actual, around the difference; the place in the file is told."""
    report = check(tmp_path, '    expect: [{t: 8, say: any}, {t: 16, say: "Bye"}]\n')
    assert report.split("\n")[1].endswith("support.calltest.yaml:4:32")
    assert report.split("\n")[3:] == [
        "      time    expected     actual",
        '       8 s    say any      say "Are you still there?"',
        '>     16 s    say "Bye"    say "I cannot hear you, so I will hang up now."',
        '      17 s                 (hangup "line closed")',
    ]


def test_hooks_that_did_not_run_are_named(tmp_path: Path) -> None:
    """When something is missing, the hooks that were kept from running are the first suspects."""
    body = '    events: [{t: 1, user_turn: "no"}]\n    expect: [{t: 1, transfer: any}]\n'
    wanted = "hook 'asks for a human' did not run at 1 s: when: event.text is matching('human')"
    assert wanted in check(tmp_path, body)


def test_a_step_that_failed_to_speak_said_nothing(tmp_path: Path) -> None:
    """What the runtime refused is no happening: `say` in `expect` means words to the caller."""
    body = TURN + "    call: {ends: 1}\n    expect: [{say: any}]\n"
    assert "but no say came" in check(tmp_path, body)


def test_the_time_of_day_is_the_calls_own(tmp_path: Path) -> None:
    """`at` sets the clock that conditions read."""
    config = SUPPORT.replace(
        "matching('human')", "matching('human') and call.hour_in('09:00-17:00', 'UTC')"
    )
    day = '    call: {at: "2026-01-05T16:59Z"}\n    expect: [{say: any}]\n'
    night = '    call: {at: "2026-01-05T18:00+01:00"}\n    never: [transfer]\n'
    assert check(tmp_path, TURN + day, config) == ""
    assert check(tmp_path, TURN + night, config) == ""


def test_memory_of_earlier_calls_can_be_given(tmp_path: Path) -> None:
    """`memory` holds what earlier calls remembered."""
    config = SUPPORT.replace("event.text is matching('human')", "memory.get('vip') == true")
    body = TURN + "    memory: {vip: true}\n    expect: [{transfer: any}]\n"
    assert check(tmp_path, body, config) == ""


def test_what_a_file_gives_holds_for_all_its_tests(tmp_path: Path) -> None:
    """`given` and `call` of the file are the defaults of its tests."""
    tests = (
        'given: {find: {name: "Ada"}}\ncall: {user_number: "+15550123"}\ntests:\n'
        "  - name: a\n    events: [{t: 1, user_turn: hi}]\n    expect: [{say: Hello Ada}]\n"
        "  - name: b\n    given: {find: null}\n    events: [{t: 1, user_turn: hi}]\n"
        "    expect: [{say: Hello you}]\n"
    )
    loaded = load_call_tests(write(tmp_path, tests, LOOKUP))
    results = [run_call_test(test, loaded.plan) for test in loaded.tests]
    assert [result.report for result in results] == ["", ""]
    assert results[0].played.lines[0]["call"]["user_number"] == "+15550123"


def test_an_answer_has_the_fields_that_the_action_gives(tmp_path: Path) -> None:
    """What a declared table does not have, no hook would ever read."""
    config = (
        'version: 1\nname: crm\nconnections: {crm: {kind: sql, url: "sqlite:///x.db"}}\n'
        "session:\n  call_start:\n    - crm_lookup: {connection: crm, table: people, "
        'match: {phone: "{{ call.user_number }}"}, fields: [first_name]}\n      save: customer\n'
    )
    for given in ("{frist_name: Ada}", "{answer: {frist_name: Ada}}", "{each: [{frist_name: A}]}"):
        (found,) = mistakes(
            tmp_path, one(f"    given: {{crm_lookup: {given}}}\n    expect: []\n"), config
        )
        assert "answers of `crm_lookup` have no `frist_name`; did you mean `first_name`?" in found
    good = one("    given: {crm: {first_name: Ada}}\n    data: {customer: {first_name: Ada}}\n")
    assert run(tmp_path, good, config).report == ""


def test_a_private_config_is_tested_in_clear(tmp_path: Path) -> None:
    """`privacy: redact` masks the journal, not the call test's view of it."""
    config = SUPPORT.replace("name: support", "name: support\nprivacy: redact")
    result = run(tmp_path, one(TURN + "    expect: [{say: Connecting you now.}]\n"), config)
    assert result.has_passed
    assert "Connecting" not in str(result.played.lines)


def test_every_run_gives_the_same_report(tmp_path: Path) -> None:
    """Nothing depends on chance or on the time of day."""
    body = TURN + "    expect: [{t: 8, say: nothing}]\n"
    assert len({check(tmp_path, body) for _ in range(3)}) == 1


def test_a_call_script_can_be_the_events(tmp_path: Path) -> None:
    """`script` names a file of events beside the test."""
    (tmp_path / "c.jsonl").write_text('{"t": 1, "user_turn": "human"}\n')
    assert check(tmp_path, "    script: c.jsonl\n    expect: [{t: 1, say: any}]\n") == ""


def test_variables_that_are_not_set_have_stand_ins(tmp_path: Path) -> None:
    """A config is tested where its connections are not set up; `env` says more when it matters."""
    config = SUPPORT.replace('"Connecting you now."', '"Call ${TEST_ONLY_X}"')
    stand_in = check(tmp_path, TURN + "    expect: [{say: {containing: stand-in-for}}]\n", config)
    tests = "env: {TEST_ONLY_X: Bob}\n" + one(TURN + "    expect: [{say: Call Bob}]\n")
    assert (stand_in, run(tmp_path, tests, config).report) == ("", "")


@pytest.mark.parametrize(
    ("tests", "wanted"),
    [
        (one("    expct: []\n"), "4:5: unknown key `expct` in a test; did you mean `expect`?"),
        (one("    expect: [{t: 1, sya: any}]\n"), "4:21: nothing is called `sya`; did you mean `say`?"),
        (one("    expect: [{t: 1, say: {txet: a}}]\n"), "4:27: unknown key `txet` in `say`; did you mean `text`?"),
        (one("    expect: [{t: soon, say: a}]\n"), "4:18: `t` must be a number of seconds, or `{from: 7, to: 9}`"),
        (one("    expect: [{say: a, end_call: b}]\n"), "4:14: one thing is expected of each item, this one names say, end_call; write one thing an item, such as `{t: 8, say: \"Hello\"}`"),
        (one("    expect: [{say: {matching: \"(\"}}]\n"), "4:20: `matching`: '(' is no pattern: missing ): ("),
        (one("    never: [sya]\n"), "4:13: nothing is called `sya`; did you mean `say`?"),
        (one("    given: {asks: 1}\n"), "4:13: no step of the config has the id, connection or action `asks`"),
        (one("    given: {remembr: 1}\n"), "4:13: no step of the config has the id, connection or action `remembr`; did you mean `remember`?"),
        (one("    given: {remember: {after: 3, answer: 1}}\n"), "4:23: `after`: 3 is no duration; write 500ms, 8s, 2m or 1h"),
        (one("    events: [{t: 1, user_trun: a}]\n"), "4:14: no event in it"),
        (one("    events: [{t: 2, hangup: x}, {t: 1, interruption: true}]\n"), "4:33: `t` goes back from 2 to 1; put the events in order of time"),
        (one("    call: {at: noon}\n"), "4:16: `at`: 'noon' is no time"),
        (one("    call: {ends: soon}\n"), "4:18: `ends` must be a number of seconds, or a duration such as 30s"),
        (one("    call: {without: [tarnsfer.warm]}\n"), "4:22: `without` cannot hold 'tarnsfer.warm'; did you mean `transfer.warm`?"),
        (one("    call: {direction: in}\n"), "4:23: `direction` cannot be text 'in'"),
        (one("    call: {transfer_outcome: answred}\n"), "`transfer_outcome` cannot be text 'answred'; did you mean `answered`?"),
        (one("    call: {ends: 1}\n"), "3:5: the test 'one' expects nothing; write `expect`, if only `expect: []`"),
        (one("    never: [{hook: humann}]\n"), "4:20: no hook is named 'humann'"),
        (one("    expect: [{say: {text: {contining: x}}}]\n"), "4:20: no matcher is called `contining`; did you mean `containing`?"),
        (one("    state: eneded\n"), "4:12: `state` cannot be text 'eneded'; did you mean `ended`?"),
        (one("    script: nowhere.jsonl\n"), "4:13: cannot read"),
        ("tests:\n  - call: {}\n", "3:5: the test has no `name`; say what it shows"),
        ("tests: [{name: a}, {name: a}]\n", "2:27: line 2 has a test of that name; rename one of the two"),
        ("test: []\n", "2:1: unknown key `test` in a file of call tests; did you mean `tests`?"),
        ("tests: {a: 1}\n", "2:8: `tests`: expected a list of tests, found a mapping"),
        ("tests: [a\n", ""),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(tmp_path: Path, tests: str, wanted: str) -> None:
    """One line for each mistake: where, what, and how to mend it."""
    found = mistakes(tmp_path, tests)
    assert len(found) == 1
    assert wanted in found[0]
    assert found[0].startswith("support.calltest.yaml:")


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    """Two tests, two mistakes, two lines in reading order."""
    found = mistakes(
        tmp_path, "tests:\n  - {name: a, nver: []}\n  - {name: b, expect: [{sya: 1}]}\n"
    )
    assert [line.split(": ")[0] for line in found] == [
        "support.calltest.yaml:3:15", "support.calltest.yaml:4:25",
    ]  # fmt: skip


def test_a_config_that_is_missing_is_told_where_it_is_named(tmp_path: Path) -> None:
    """The place is that of the name."""
    path = tmp_path / "x.calltest.yaml"
    path.write_text("config: nowhere.yaml\ntests: []\n")
    with pytest.raises(ScriptError, match=r"x\.calltest\.yaml:1:9: cannot read"):
        load_call_tests(path)


def test_a_config_with_mistakes_is_refused_with_them(tmp_path: Path) -> None:
    """A call test cannot prove a config that takes no call."""
    with pytest.raises(ConfigError):
        load_call_tests(write(tmp_path, "tests: []\n", "version: 2\n"))


def test_a_file_that_is_missing_is_a_failure_of_the_environment(tmp_path: Path) -> None:
    """It is no mistake in a file."""
    with pytest.raises(EnvironmentFailure):
        load_call_tests(tmp_path / "none.calltest.yaml")
