"""What conditions prove: by status, null tests, `and`, `or`, `if` and `stop`, and what joins keep."""

from __future__ import annotations

import textwrap

import pytest

from tests.test_validation_flow import codes, hook

LOOKUP = """
- crm_lookup: {connection: c, table: t, match: {a: "1"}, fields: [tier]}
  id: q
  save: r
  timeout: 1s
"""
ASKED = """
- http: {connection: c, path: /x}
  id: q
  save: r
  on_error: continue
"""
CONNECTED = 'connections: {c: {kind: http, base_url: "https://crm.example.com"}}'
DATABASE = 'connections: {c: {kind: sql, url: "sqlite:///crm.db"}}'


@pytest.mark.parametrize(
    "guard",
    [
        "when: steps.q.status == 'ok' and data.r.status == 200",
        "when: 200 == data.r.status if steps.q.status == 'ok' else false",
        "when: not (steps.q.status != 'ok' or data.r.status != 200)",
        "when: steps.q.error is none and data.r.status == 200",
        "when: steps.q.output and data.r.status == 200",
        "when: steps.q.status not in ['failed', 'timed_out'] and data.r.status == 200",
        "when: data.r.status | default(0) == 200 and data.r.body",
        "when: data.r is defined and data.r.status == 200",
    ],
)
def test_what_a_step_saved_is_there_once_it_went_well(guard: str) -> None:
    """Every way of asking counts, as a whole condition and as a part of one."""
    assert codes(f"{CONNECTED}\n{hook(ASKED + '- log: hi' + chr(10) + '  ' + guard)}") == []


@pytest.mark.parametrize(
    "guard",
    [
        "when: steps.q.status != 'failed' and data.r.status == 200",
        "when: steps.q.status == 'ok' or data.r.status == 200",
        "when: data.r.status | default(200) == 200 and data.r.body",
    ],
)
def test_what_does_not_follow_is_not_proved(guard: str) -> None:
    """A step that did not fail may be late; and a default may be what is compared with."""
    found = codes(f"{CONNECTED}\n{hook(ASKED + '- log: hi' + chr(10) + '  ' + guard)}")
    assert found == ["HK229"]


@pytest.mark.parametrize(
    "guard",
    [
        "- stop: x\n  when: data.r is none",
        "- if: data.r is none\n  then: [{stop: x}]",
        "- if: data.r == none\n  then: [{stop: x}]",
        "- if: steps.q.output is none\n  then: [{stop: x}]",
        "- if: not data.r\n  then: [{stop: x}]",
        "- if: data.r\n  then: []\n  else: [{stop: x}]",
        "- if: data.r is none\n  then: [{set: {r: {tier: basic}}}]",
        "- set: {r: {tier: basic}}\n  when: data.r is none",
    ],
)
def test_null_is_ruled_out_for_the_steps_that_come_on(guard: str) -> None:
    """By a `stop` on the other way, or by a value that is set there."""
    steps = f'{LOOKUP}{guard.replace("[]", "[{log: hi}]")}\n- log: "{{{{ data.r.tier }}}}"'
    assert codes(f"{DATABASE}\n{hook(steps)}") == []


def test_a_proof_ends_where_the_value_is_saved_anew() -> None:
    """What was asked of the old value says nothing of the new one."""
    stop = "- if: data.r is none\n  then: [{stop: x}]\n"
    read = '- log: {message: hi, fields: {name: "{{ data.r.tier }}"}}'
    again = LOOKUP.replace("id: q", "id: p")
    assert codes(f"{DATABASE}\n{hook(LOOKUP + stop + read)}") == []
    assert codes(f"{DATABASE}\n{hook(LOOKUP + stop + again + read)}") == ["HK203"]


@pytest.mark.parametrize("policy", ["on_error: continue", "background: true", "on_error: stop"])
def test_a_save_that_fails_leaves_what_was_there(policy: str) -> None:
    """Who sets a value first needs no guard after a step that may save another."""
    text = f"""
    session:
      call_start:
        - name: plan
          do:
            - set: {{plan: basic}}
            - python: my.hooks:plan
              save: plan
              {policy}
            - log: "{{{{ data.plan }}}}"
      user_turn: [{{log: "{{{{ data.plan }}}}"}}]
    """
    assert codes(text) == []


def test_what_came_with_the_call_or_is_set_is_there() -> None:
    """A branch that sets what is missing meets one where it was not."""
    steps = """
    - if: data.vip is not defined
      then: [{set: {vip: false}}]
    - log: "{{ data.vip }}"
    """
    assert codes(hook(steps)) == []


@pytest.mark.parametrize(
    "condition",
    [
        "memory.get('calls') is not none and memory.get('calls') > 3",
        "memory.get('calls') | default(0) > 3",
        "memory.get('calls') | int(0) > 3",
        "[call.turns, 5] | min > 3",
        "call.outcome == 'busy' or call.outcome is none",
        "call.language and call.language is matching('de')",
    ],
)
def test_null_that_is_provided_for_is_no_finding(condition: str) -> None:
    """A key of the memory is asked about as a path is."""
    assert codes(hook(f'- log: hi\n  when: "{condition}"')) == []


CAREFUL = LOOKUP.rstrip() + "\n  on_error: continue\n"


@pytest.mark.parametrize(
    "guard",
    [
        "steps.q.error",
        "steps.q.error is not none",
        "steps.q.status == 'failed'",
        "steps.q.status in ['failed', 'timed_out']",
        "steps.q.status in ['ok', 'failed']",
        "steps.q.status is string",
        "steps.q is defined",
    ],
)
def test_a_fact_about_one_part_proves_nothing_of_its_neighbours(guard: str) -> None:
    """That a step has an error says nothing good of its output."""
    steps = f'{CAREFUL}- log: "{{{{ steps.q.output.tier }}}}"\n  when: {guard}'
    assert codes(f"{DATABASE}\n{hook(steps)}") == ["HK203"]


def test_what_is_beside_a_field_may_be_null() -> None:
    """A record whose one field is known is there; what is in its other fields is not known."""
    steps = """
    - set: {r: {c: "{{ memory.get('x') }}", a: 1}}
    - log: "{{ data.r.c.tier }}"
      when: GUARD
    """
    assert codes(hook(steps.replace("GUARD", "data.r.a == 1"))) == ["HK203"]
    assert codes(hook(steps.replace("GUARD", "data.r.c"))) == []


REMEMBERED = "session:\n  user_turn:\n    - set: {a: one, b: two}\n    - when: GUARD\n      do:\n"


def remembered(guard: str, *steps: str) -> list[str]:
    """The codes of a hook that asks the memory, and then runs these steps."""
    return codes(REMEMBERED.replace("GUARD", guard) + "".join(f"        - {s}\n" for s in steps))


@pytest.mark.parametrize(
    ("guard", "read", "found"),
    [
        ("memory.get(data.a)", "memory.get(data.b)", ["HK203"]),
        ("memory.get('data')", "memory.get(data.b)", ["HK203"]),
        ("memory.get('data.b')", "memory.get(data.b)", ["HK203"]),
        ("memory.get(data.a)", "memory.get('a')", ["HK203"]),
        ("memory.get(data[data.a])", "memory.get(data[data.b])", ["HK203"]),
        ("memory.get(data.a)", "memory.get(data.a)", []),
        ("memory.get('a')", "memory.get('a')", []),
    ],
)
def test_a_proof_is_about_one_key_of_the_memory(guard: str, read: str, found: list[str]) -> None:
    """A key that is read and one that is written out are never taken for one another."""
    assert remembered(guard, f'log: "{{{{ {read}.tier }}}}"') == found


@pytest.mark.parametrize(
    ("guard", "step", "found"),
    [
        ("memory.get(data.a)", "set: {a: zzz}", ["HK203"]),
        ("memory.get(data.a)", "set: {b: zzz}", []),
        ("memory.get('one')", "forget: one", ["HK203"]),
        ("memory.get('one')", "forget: two", []),
        ("memory.get('one')", 'forget: "{{ data.b }}"', ["HK203"]),
        ("memory.get(data.a)", "forget: one", ["HK203"]),
        ("memory.get('one')", 'remember: {key: one, value: "{{ event.text }}"}', ["HK203"]),
    ],
)
def test_a_proof_about_the_memory_ends_with_its_key(
    guard: str, step: str, found: list[str]
) -> None:
    """Where the value is written or forgotten, and where the key that was read is another."""
    read = guard.replace("'", '"')
    read = f"log: '{{{{ {read}.tier }}}}'"
    assert remembered(guard, step, read) == found


STOP = "- stop: x\n  when: data.r is none\n"
READ = '- log: {message: hi, fields: {name: "{{ data.r.tier }}"}}\n'
SECOND = "{crm_lookup: {connection: c, table: t, match: {a: '2'}, fields: [tier]}, id: p, save: r, timeout: 1s}"
AGAIN = f"chains:\n  again:\n    - {SECOND}\n"


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ("- run: again\n", ["HK203"]),
        ("- run: again\n  on_error: continue\n", ["HK203"]),
        (f"- parallel: [{SECOND}, {{log: hi}}]\n", ["HK203"]),
        ("- parallel: [{run: again}, {log: hi}]\n", ["HK203"]),
        (f"- parallel: [{SECOND}, {READ[2:].strip().join('{}')}]\n", ["HK203"]),
        (f"- if: event.text == 'a'\n  then:\n    - parallel: [{SECOND}, {{log: hi}}]\n", ["HK203"]),
        ("- parallel: [{set: {z: 1}}, {log: hi}]\n", []),
    ],
)
def test_a_proof_ends_where_a_chain_or_a_branch_saves_anew(steps: str, found: list[str]) -> None:
    """Afterwards, and in the other branches at once."""
    read = READ if "fields: {name" not in steps else ""
    chains = AGAIN if "again" in steps else ""
    assert codes(f"{DATABASE}\n{chains}{hook(LOOKUP + STOP + steps + read)}") == found


def test_a_stop_in_a_chain_proves_what_one_in_the_hook_does() -> None:
    """The chain ends the hook, unless it may have failed before it came to that."""
    asked = ASKED.replace("\n", "\n    ")
    chains = f"chains:\n  ask:{asked}- {{stop: x, when: steps.q.status != 'ok'}}\n"
    read = '- log: {message: hi, fields: {status: "{{ data.r.status }}"}}'
    assert codes(f"{CONNECTED}\n{chains}{hook('- run: ask' + chr(10) + read)}") == []
    late = "- run: ask\n  on_error: continue\n" + read
    assert codes(f"{CONNECTED}\n{chains}{hook(late)}") == ["HK229"]


@pytest.mark.parametrize(
    ("between", "found"),
    [
        (f"- {SECOND}\n", ["HK203"]),
        (f"- if: event.text == 'a'\n  then: [{SECOND}]\n", ["HK229"]),
        ("- set: {r: null}\n  when: event.text == 'a'\n", ["HK229"]),
        ("- set: {z: null}\n", []),
    ],
)
def test_a_status_tells_of_data_while_the_value_is_that_of_the_step(
    between: str, found: list[str]
) -> None:
    """Another step may have saved there since; what a step saved over others is its own."""
    guard = "- if: steps.q.status == 'ok' and steps.q.output\n  then:\n"
    read = guard + "    " + READ
    assert codes(f"{DATABASE}\n{hook(CAREFUL + between + read)}") == found
    assert codes(f"{DATABASE}\n{hook(between + CAREFUL + read)}") == []


def test_the_facts_about_a_step_end_where_it_runs_again() -> None:
    """A chain that is run twice has its second outcome in `steps`."""
    stop = "- stop: x\n  when: steps.p.output is none\n"
    read = READ.replace("data.r", "steps.p.output")
    once, twice = f"- run: again\n{stop}{read}", f"- run: again\n{stop}- run: again\n{read}"
    assert codes(f"{DATABASE}\n{AGAIN}{hook(once)}") == []
    assert codes(f"{DATABASE}\n{AGAIN}{hook(twice)}") == ["HK203"]


@pytest.mark.parametrize("branch", [ASKED.strip(), "- run: ask"])
@pytest.mark.parametrize(
    ("guard", "found"),
    [
        ("steps.q.error is none", ["HK229"]),
        ("steps.q.status not in ['failed', 'timed_out']", ["HK229"]),
        ("steps.q.status not in ['failed', 'timed_out', 'cancelled']", []),
        ("steps.q.status == 'ok'", []),
    ],
)
def test_a_step_of_a_branch_may_be_cancelled(branch: str, guard: str, found: list[str]) -> None:
    """Also one of a chain that is run there; it has no error then, and did not go well."""
    inner = textwrap.indent(branch + "\n- http: {connection: c, path: /y}\n", "      ")
    chains = textwrap.indent(ASKED.strip(), "    ") if "ask" in branch else "    - log: hi"
    steps = f"- parallel:\n    first_error: cancel\n    steps:\n{inner}  on_error: continue\n"
    read = f'- log: "{{{{ data.r.status }}}}"\n  when: {guard}\n'
    run = "" if "ask" in branch else "- run: ask\n"
    text = f"{CONNECTED}\nchains:\n  ask:\n{chains}\n{hook(run + steps + read)}"
    assert codes(text) == found


@pytest.mark.parametrize(
    ("guard", "found"),
    [
        ("data.r.tier | default('none1') in ['a', event.text]", ["HK203"]),
        ("not (data.r.tier | default('none1') not in ['a', event.text])", ["HK203"]),
        ("data.r.tier | default('none1') in ['a', 'b']", []),
        ("data.r.tier | default('a') not in ['a', 'b']", []),
        ("steps.q.output is defined", ["HK203"]),
        ("data.r is defined", ["HK203"]),
        ("steps.q.output is not none", []),
        ("data.r.tier is defined", []),
    ],
)
def test_what_a_default_and_defined_prove(guard: str, found: list[str]) -> None:
    """A list of which one item is not known proves nothing; null is defined."""
    steps = f"{LOOKUP}{READ.rstrip()}\n  when: {guard}\n"
    assert codes(f"{DATABASE}\n{hook(steps)}") == found


def test_a_field_of_the_call_that_is_defined_may_be_null() -> None:
    """All of them are always there, and some are null until they are known."""
    guard = "call.end_reason is defined"
    assert "HK203" in codes(hook(f'- log: "{{{{ call.end_reason | upper }}}}"\n  when: {guard}'))


@pytest.mark.parametrize(
    ("event", "after", "found"),
    [
        ("call_start", "- set: {r: null}\n", ["HK203"]),
        ("call_start", "- set: {z: null}\n", []),
        ("user_turn", "", ["HK203"]),
    ],
)
def test_a_timer_reads_what_is_there_when_it_is_due(
    event: str, after: str, found: list[str]
) -> None:
    """By then the rest of its hook has run, and perhaps the hook again."""
    timer = "- if: data.r\n  then:\n    - timer: {after: 5s, steps: [READ]}\n"
    timer = timer.replace("READ", '{say: "{{ data.r.tier }}"}')
    assert codes(f"{DATABASE}\n{hook(LOOKUP + timer + after, event)}") == found


def test_a_ladder_may_begin_again() -> None:
    """What a later rung saves is there in the second round."""
    rungs = ['- say: "{{ data.r.tier }}"', "- set: {r: null}", "- end_call: bye"]
    for steps, found in ((rungs, ["HK203"]), ([rungs[0], rungs[2]], [])):
        ladder = textwrap.indent("\n".join(steps), "      ")
        ladder = f"{STOP}- silence_timer:\n    after: 3s\n    steps:\n{ladder}\n"
        assert codes(f"{DATABASE}\n{hook(LOOKUP + ladder, 'call_start')}") == found


@pytest.mark.parametrize(
    ("guard", "found"),
    [
        ("data.r.body.items | default([]) | length > 0", []),
        ("data.r.body.items | default([]) | length < 3", ["HK229"]),
        ("data.r.body | default({}) | length == 2", []),
        ("data.r | default(none) is not none", []),
        ("data.r | default(none) is none", ["HK229"]),
        ("data.r | default(false) | bool", []),
        ("data.r.body | default('no') | bool", ["HK229"]),
        ("not (data.r.body | default('no') | bool)", ["HK229"]),
        ("data.r.body | default('') | capitalize == 'Gold'", []),
        ("(data.r is defined) == true", []),
        ("(data.r is defined) != false", []),
        ("(data.r is defined) is true", []),
        ("(data.r is defined) is false", ["HK229"]),
        ("(data.r is defined) == false", ["HK229"]),
    ],
)
def test_the_usual_defaults_are_guards(guard: str, found: list[str]) -> None:
    """Where the condition could not be as it is with the default."""
    steps = f'{ASKED}- log: "{{{{ data.r.status }}}}"\n  when: {guard}\n'
    assert codes(f"{CONNECTED}\n{hook(steps)}") == found


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ("- http: {connection: c, path: /x}\n  save: r\n", []),
        ("- set: {r: null}\n- http: {connection: c, path: /x}\n  save: r\n", ["HK229"]),
    ],
)
def test_what_a_hook_has_asked_for_is_there_in_finally(steps: str, found: list[str]) -> None:
    """Or what its one step has saved over it; of what is between two steps nothing is known."""
    text = hook(steps, when="data.r is defined and data.r is not none").rstrip()
    text += '\n      finally:\n        - log: "{{ data.r.status }}"\n'
    assert codes(f"{CONNECTED}\n{text}") == found
