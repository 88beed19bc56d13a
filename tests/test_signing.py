"""Standard Webhooks signatures, verified by the published receiver."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from orchestrator.errors import UserError
from orchestrator.signing import key_of, sign, verify

OLD = "whsec_" + base64.b64encode(b"o" * 24).decode()
NEW = "whsec_" + base64.b64encode(b"n" * 32).decode()


@given(st.text())
def test_the_published_receiver_accepts_our_signature(text: str) -> None:
    """Whatever the body, the reference receiver takes it."""
    body = text.encode(errors="replace")
    headers = sign([key_of(NEW)], "msg_1", int(time.time()), body)
    Webhook(NEW).verify(body, headers, json_parse=False)


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_while_keys_rotate_either_secret_verifies(secret: str) -> None:
    """A message signed by both secrets is good for receivers that know one of them."""
    headers = sign([key_of(NEW), key_of(OLD)], "msg_1", int(time.time()), b'{"a":1}')
    assert Webhook(secret).verify(b'{"a":1}', headers) == {"a": 1}


def test_a_changed_body_is_refused_by_both() -> None:
    """One changed byte is found by the reference receiver and by ours."""
    headers = sign([key_of(NEW)], "msg_1", int(time.time()), b"{}")
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(b"[]", headers)
    assert verify([key_of(NEW)], headers, b"[]", now=time.time()) == "no signature fits"


@pytest.mark.parametrize(
    ("now", "is_good"), [(1000, True), (1300, True), (1301, False), (699, False)]
)
def test_a_signature_is_good_for_five_minutes(now: int, is_good: bool) -> None:
    """Old and future timestamps are refused."""
    headers = sign([b"k"], "msg_1", 1000, b"")
    assert (verify([b"k"], headers, b"", now=now) is None) is is_good


def test_another_id_or_time_breaks_the_signature() -> None:
    """Id and timestamp are signed too."""
    headers = sign([b"k"], "msg_1", 1000, b"x")
    for name, value in (("webhook-id", "msg_2"), ("webhook-timestamp", "1001")):
        assert verify([b"k"], {**headers, name: value}, b"x", now=1000)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"webhook-id": "a"},
        {"webhook-id": "a", "webhook-timestamp": "x", "webhook-signature": "v1,"},
    ],
)
def test_missing_or_malformed_headers_are_refused(headers: dict[str, str]) -> None:
    """Without proper headers nothing is trusted."""
    assert verify([b"k"], headers, b"", now=0) == "its webhook headers are missing or malformed"


def test_without_keys_a_message_is_only_identified() -> None:
    """An unsigned message still has its id, by which repetitions are known."""
    assert sign([], "msg_1", 1000, b"") == {"webhook-id": "msg_1", "webhook-timestamp": "1000"}


def test_a_plain_secret_is_its_own_key() -> None:
    """Text without `whsec_` is the key; a receiver passes it as bytes."""
    headers = sign([key_of("s3cret, plain")], "msg_1", int(time.time()), b"{}")
    assert Webhook(b"s3cret, plain").verify(b"{}", headers) == {}  # type: ignore[arg-type]


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64!", "whsec_é"])
def test_an_unusable_secret_is_refused(secret: str) -> None:
    """Empty and broken secrets are refused, and never repeated in the message."""
    with pytest.raises(UserError) as caught:
        key_of(secret)
    assert "not base64!" not in str(caught.value)
