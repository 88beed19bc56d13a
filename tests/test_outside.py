"""Configs that reach outside, from YAML to a real server and a real database."""

from __future__ import annotations

import base64
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from orchestrator import AgentRunner, Orchestrator
from orchestrator.encoding import path_value
from orchestrator.errors import ActionFailed, ConfigError
from orchestrator.journal import encode
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge
from orchestrator.testing.variables import StandIns
from orchestrator.validation import check_text
from tests.kit import make_plan, script
from tests.kit import run as play
from tests.servers import Reply, Server, run

SAID = "order 7/9?x=1#"
SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()
CONFIG = """version: 1
vars: {folder: a/b}
connections:
  crm: {kind: sql, url: "${CRM_URL}"}
  shop:
    kind: http
    base_url: "${SHOP_URL}"
    auth: {bearer: "${SHOP_TOKEN}"}
    signing_secret: ["${SHOP_SECRET}"]
session:
  call_start:
    - do:
        - crm_lookup:
            connection: crm
            table: customers
            match: {phone: "{{ call.user_number }}"}
            fields: [first_name]
          save: customer
        - say: "Hi {{ data.customer.first_name | default('there') }}"
  user_turn:
    - do:
        - http: {connection: shop, path: "/{{ vars.folder }}/{{ event.text }}"}
          save: order
        - webhook: {connection: shop, path: /said, type: caller.spoke, json: "{{ event.text }}"}
        - crm_write:
            connection: crm
            table: customers
            match: {phone: "{{ call.user_number }}"}
            values: {first_name: "{{ event.text }}"}
"""


class Lines:
    """A sink that keeps encoded lines."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def put(self, call_id: str, records: Any, redactor: Any, began: float) -> None:
        self.lines += encode(records, redactor, began)

    def close(self) -> None:
        """Nothing to do."""


def carry(folder: Path, text: str) -> tuple[Any, list[dict[str, Any]], Any]:
    """One real call in which the caller says a text; requests, journal and the database's rows."""
    db = sqlite3.connect(folder / "crm.db")
    db.executescript(
        "CREATE TABLE customers (phone, first_name); INSERT INTO customers VALUES ('+15550100', 'Ada')"
    )
    (folder / "hooks.yaml").write_text(CONFIG)
    sink = Lines()

    async def main() -> Any:
        async with Server(Reply(body={"ok": 1})) as server:
            variables = {
                "CRM_URL": f"sqlite:///{folder}/crm.db",
                "SHOP_URL": f"{server.url}/v1",
                "SHOP_TOKEN": "t0ken-of-the-shop",
                "SHOP_SECRET": SECRET,
            }
            orchestrator = Orchestrator.from_file(
                folder / "hooks.yaml", variables=variables, journals=sink
            )
            runner = AgentRunner()
            orchestrator.attach(runner)
            events = [{"t": 0.1, "user_turn": text}]
            await runner.handle(ScriptBridge(script(events), PlayOptions(linger=0.3)))
            await orchestrator.aclose()
            return server.seen

    seen = run(main())
    rows = db.execute("SELECT * FROM customers").fetchall()
    db.close()
    return seen, sink.lines, rows


def test_a_call_reaches_its_crm_shop_and_receiver(tmp_path: Path) -> None:
    """Look-up, request, signed webhook and write all arrive; the journal keeps the secrets out."""
    seen, lines, rows = carry(tmp_path, SAID)
    assert {"do": "say", "text": "Hi Ada"}.items() <= next(x for x in lines if "do" in x).items()
    asked, told = seen
    assert asked.target == "/v1/a/b/order%207%2F9%3Fx%3D1%23"
    assert told.target == "/v1/said"
    assert told.headers["authorization"] == "Bearer t0ken-of-the-shop"
    said = Webhook(SECRET).verify(told.body, told.headers)
    assert (said["type"], said["data"]) == ("caller.spoke", SAID)
    assert rows == [("+15550100", SAID)]
    assert "t0ken-of-the-shop" not in str(lines)


def test_a_value_cannot_lead_out_of_its_path(tmp_path: Path) -> None:
    """What the caller says may not step up; the step fails, and the call goes on to its end."""
    seen, lines, _ = carry(tmp_path, "../../admin")
    failed = next(line for line in lines if line.get("step") == "http")
    assert failed["status"] == "failed"
    assert "steps out of its folder" in failed["error"]
    assert [one.target for one in seen] == []
    assert "end" in lines[-1]


def test_in_virtual_time_nothing_leaves_and_steps_count_as_done() -> None:
    """The same config plays without any of its systems; the journal says `not_sent`."""
    variables = {
        "CRM_URL": "sqlite:///nowhere.db",
        "SHOP_URL": "https://shop.test",
        "SHOP_TOKEN": "t",
        "SHOP_SECRET": SECRET,
    }
    played = play(
        CONFIG.removeprefix("version: 1\n"), [{"t": 1, "user_turn": "x"}], variables=variables
    )
    status = {line["step"]: line["status"] for line in played.lines if "step" in line}
    assert [status[name] for name in ("crm_lookup", "http", "webhook", "crm_write")] == [
        "not_sent"
    ] * 4


@pytest.mark.parametrize(
    ("connection", "variable", "word"),
    [
        ("kind: http, base_url: '${X}'", "http://crm.test", "plain http"),
        ("kind: http, base_url: '${X}'", "https://169.254.169.254", "metadata"),
        ("kind: http, base_url: 'https://a.test', signing_secret: '${X}'", "whsec_?", "whsec_"),
        ("kind: http, base_url: 'https://a.test', auth: {bearer: '${X}'}", "a\nb", "line end"),
        ("kind: sql, url: '${X}'", "mysql://h/x", "sqlite"),
    ],
)
def test_a_variable_that_does_not_fit_is_found_before_a_call(
    connection: str, variable: str, word: str
) -> None:
    """Connections are judged when the environment is known, with the place in the file."""
    config = f"""
connections: {{c: {{{connection}}}}}
session:
  user_turn: [{{log: x}}]
"""
    with pytest.raises(ConfigError) as caught:
        make_plan(config, {"X": variable})
    assert word in str(caught.value)
    assert "test.yaml:3" in str(caught.value)


def test_every_secret_is_known_to_the_journal() -> None:
    """Credentials and signing secrets, one or several, are masked wherever they appear."""
    config = """
connections:
  a: {kind: http, base_url: 'https://a.test', signing_secret: ['${A}', '${B}']}
  b: {kind: http, base_url: 'https://b.test', auth: {basic: {user: u, password: '${C}'}}}
  c: {kind: sql, url: '${D}'}
session:
  user_turn: [{log: x}]
"""
    variables = {"A": "plain-a", "B": "plain-b", "C": "plain-c", "D": "sqlite:///d.db"}
    assert set(variables.values()) <= make_plan(config, variables).secrets


@pytest.mark.parametrize(
    ("value", "text"),
    [("a/b", "a%2Fb"), (7, "7"), (True, "true"), ("é", "%C3%A9"), ("..", ".."), ("\ud800", "%3F")],
)
def test_a_value_is_one_part_of_a_path(value: Any, text: str) -> None:
    """Whatever a value holds, it makes no further part, query or fragment."""
    assert path_value(value) == text


@pytest.mark.parametrize("value", [None, "", [], {}, ["a"]])
def test_a_path_without_its_value_is_refused(value: Any) -> None:
    """An empty value would name another thing, such as the whole collection."""
    with pytest.raises(ActionFailed):
        path_value(value)


SAYS = """
connections:
  c: {kind: http, base_url: "${C_URL}"}
session:
  user_turn:
    - webhook: {connection: c, path: /h, headers: {x-said: "<{{ event.text }}>"}, json: {a: 1}}
    - http: {connection: c, path: /q, headers: {x-said: "{{ event.text }}"}}
    - webhook: {connection: c, path: "/p/{{ event.text }}", json: {a: 1}}
    - http: {connection: c, path: "/p/{{ event.text }}"}
"""


@pytest.mark.parametrize(
    ("said", "header", "path"),
    [
        ("plain", "<plain>", "ok"),
        ("a\nb\r\nc", "<a%0Ab%0D%0Ac>", "failed"),
        ("a\x07b\x7f\x00", "<a%07b%7F%00>", "failed"),
        ("..", "<..>", "failed"),
        ("a/%2e%2e/b", "<a/%2e%2e/b>", "failed"),
        ("\n", "<%0A>", "failed"),
    ],
)
def test_what_a_caller_says_stays_in_its_header(
    said: str, header: str, path: str, tmp_path: Path
) -> None:
    """It never loses a request by its header; by a path it may, and virtual time says so too."""
    sink = Lines()
    (tmp_path / "hooks.yaml").write_text(f"version: 1\n{SAYS}")

    async def main() -> Any:
        async with Server(Reply(body={"ok": 1})) as server:
            app = Orchestrator.from_file(
                tmp_path / "hooks.yaml", variables={"C_URL": server.url}, journals=sink
            )
            runner = AgentRunner()
            app.attach(runner)
            events = [{"t": 0.01, "user_turn": said}]
            await runner.handle(ScriptBridge(script(events), PlayOptions(linger=0.05)))
            await app.aclose()
            return server.seen

    seen = run(main())
    status = [line["status"] for line in sink.lines if line.get("step") in ("webhook", "http")]
    assert sorted(status) == sorted(["ok", "ok", path, path])
    assert {one.headers["x-said"] for one in seen if one.target == "/h"} == {header}
    played = play(SAYS, [{"t": 1, "user_turn": said}], variables={"C_URL": "https://c.test"})
    status = [line["status"] for line in played.lines if line.get("step") in ("webhook", "http")]
    expected = "not_sent" if path == "ok" else "failed"
    assert sorted(status) == sorted(["not_sent", "not_sent", expected, expected])


def test_a_line_end_that_a_variable_brings_into_a_header_is_refused() -> None:
    """An operator's mistake is said, and not sent as another credential."""
    config = """
connections: {c: {kind: http, base_url: "https://c.test"}}
session:
  user_turn: [{webhook: {connection: c, path: /h, headers: {x-key: "${KEY}{{ event.text }}"}}}]
"""
    played = play(config, [{"t": 1, "user_turn": "x"}], variables={"KEY": "abc\nd"})
    (line,) = [line for line in played.lines if line.get("step") == "webhook"]
    assert line["status"] == "failed"
    assert "line end" in line["error"]


@pytest.mark.parametrize("value", ['"a\\n{{ event.text }}"', '"${KEY}\\nb {{ event.text }}"'])
def test_a_line_end_beside_a_template_is_found_at_load(value: str) -> None:
    """It would fail at every call."""
    text = (
        "version: 1\nsession:\n  user_turn:\n    - webhook:\n        url: https://a.test/\n"
        f"        headers: {{x-a: {value}}}\n        json: {{}}\n"
    )
    assert "HK125" in [problem.code for problem in check_text(text).problems]


def test_a_url_of_a_variable_that_is_not_set_plays() -> None:
    """Whatever the variable is called, in a call test it stands for a URL."""
    checked = check_text(
        "version: 1\nvars: {hook: '${SLACK_HOOK}'}\nsession:\n  user_turn:\n"
        "    - webhook: {url: '${IN_COMING}', json: {}}\n"
        "    - webhook: {url: '{{ vars.hook }}', json: {}}\n"
    )
    assert checked.config is not None
    names = StandIns({}, checked.config)
    assert names["IN_COMING"] == "https://in-coming.test"
    assert names["SLACK_HOOK"] == "https://slack-hook.test"


CHOSEN = """
name: paths
vars: {orders: /orders/new}
connections: {api: {kind: http, base_url: "https://api.test/base"}}
session:
  user_turn:
    - when: event.text in ['a/b', '/c']
      set: {kind: "{{ '/set/one' if event.text == 'a/b' else event.text }}"}
    - http: {connection: api, path: "%s"}
"""


@pytest.mark.parametrize(("path", "said", "sent"), [
    ("{{ vars.orders }}", "x", "/orders/new"),
    ("{{ '/vip/x' if event.text == 'x' else '/std/x' }}", "x", "/vip/x"),
    ("{{ '/vip/x' if event.text == 'x' else event.text }}", "/a/../b", "%2Fa%2F..%2Fb"),
    ("/p{{ data.kind | default('/none/at/all') }}", "x", "/p/none/at/all"),
    ("{{ data.kind | default('-') }}", "a/b", "/set/one"),
    ("{{ data.kind | default('-') }}", "/c", "%2Fc"),
    ("/p/{{ event.text }}", "/vip/x", "/p/%2Fvip%2Fx"),
    ("/p/{{ 'a b' if event.text == 'x' else 'R&D' }}", "y", "/p/R%26D"),
])  # fmt: skip
def test_a_path_that_the_author_wrote_is_one_when_a_template_chooses_it(
    path: str, said: str, sent: str
) -> None:
    """As one in `vars` is; what the call brings stays one part, whatever is in it."""
    lines = play(CHOSEN % path, [{"t": 1, "user_turn": said}, {"t": 2, "hangup": ""}]).lines
    assert [line["with"]["path"] for line in lines if "act" in line] == [sent]
