"""The estimate of what the agent speaks and plays, part by part."""

from __future__ import annotations

import pytest

from orchestrator.speech import LONGEST_SOUND, Speech


def test_words_take_their_time_one_after_another() -> None:
    """150 a minute, behind what is queued; a gap is no speech."""
    speech = Speech()
    speech.text(0.0, "one two three four five")
    speech.text_ends()
    assert speech.until == pytest.approx(2.0)
    speech.text(1.0, "six seven eight nine ten")
    speech.text_ends()
    assert speech.until == pytest.approx(4.0)
    speech.text(10.0, "late words")
    assert speech.until == pytest.approx(10.8)


@pytest.mark.parametrize(
    "pieces",
    [["hello world good bye"], list("hello world good bye"), ["hel", "lo wor", "ld", " good bye"],
     ["hello ", "world ", "good ", "bye"], [" hello", " world", " good", " bye"]],
)  # fmt: skip
def test_tokens_of_a_word_are_one_word(pieces: list[str]) -> None:
    """However a model cuts its reply, it takes as long to say."""
    speech = Speech()
    for piece in pieces:
        speech.text(0.0, piece)
    assert speech.until == pytest.approx(4 / 2.5)


@pytest.mark.parametrize(
    "text", ["今日はお電話ありがとうございます", "ขอบคุณที่โทรมาหาเรา", "感谢您今天致电我们公司"]
)
def test_scripts_without_spaces_take_time_too(text: str) -> None:
    """Or the line would be given back in the middle of a sentence; in one piece or in tokens."""
    whole, tokens = Speech(), Speech()
    whole.text(0.0, text)
    for letter in text:
        tokens.text(0.0, letter)
    assert whole.until == pytest.approx(tokens.until)
    assert len(text) / 6 <= whole.until <= len(text) / 3


def test_a_new_text_begins_with_a_new_word() -> None:
    """The end of a reply is the end of its last word."""
    speech = Speech()
    for text in ("one", "two"):
        speech.text(0.0, text)
        speech.text_ends()
    assert speech.until == pytest.approx(2 / 2.5)


def test_a_sound_takes_what_was_told_or_the_longest() -> None:
    """Nobody knows better."""
    speech = Speech()
    speech.sound(0.0, 12.0)
    assert (speech.until, speech.told) == (12.0, 12.0)
    speech.sound(0.0, None)
    assert (speech.until, speech.told) == (12.0 + LONGEST_SOUND, 12.0)


def test_the_end_of_words_is_not_that_of_a_sound_behind_them() -> None:
    """The sound begins when the words are reported as spoken."""
    speech = Speech(delay=0.3)
    speech.text(0.0, "one two three four five")
    speech.text_ends()
    speech.sound(0.0, 10.0)
    speech.began()
    speech.ended(4.0)
    assert speech.until == pytest.approx(14.3)
    speech.ended(9.0)  # this carrier reports sounds too
    assert speech.until == 0


def test_words_behind_a_sound_are_not_over_with_it() -> None:
    """Whether the report was of the sound or of the words, they will have been heard."""
    speech = Speech()
    speech.sound(0.0, None)
    speech.text(0.0, "one two three four five")
    speech.ended(3.0)
    assert speech.until == pytest.approx(5.0)


def test_a_barge_in_drops_it_all() -> None:
    """Nothing of it will be heard."""
    speech = Speech()
    speech.text(0.0, "one two")
    speech.sound(0.0, None)
    speech.dropped()
    assert (speech.until, speech.is_queued, speech.told) == (0.0, False, 0.0)
