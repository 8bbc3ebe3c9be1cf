"""Secrets that prove a caller: their form, and what shows them."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.client.handover import pack
from orchestra.config import Settings
from orchestra.domain import access_secrets
from orchestra.domain.models.credentials import NewSession, NewToken, SignInCode, Token, WebSession

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def test_a_token_is_recognized_by_its_form_and_its_checksum() -> None:
    token = access_secrets.new_token()
    assert token.startswith("orc_")
    assert len(token) == 42
    assert access_secrets.is_token(token)
    assert token != access_secrets.new_token()


@given(place=st.integers(4, 41), other=st.sampled_from("0aZ_ "))
def test_a_token_with_a_typing_error_is_none(place: int, other: str) -> None:
    token = access_secrets.new_token()
    wrong = f"{token[:place]}{other}{token[place + 1 :]}"
    assert access_secrets.is_token(wrong) is (wrong == token)


@pytest.mark.parametrize(
    "text", ["", "orc_", "ORC_", "orc_" + "0" * 37, "x" * 100_000, "orc_\ud800", "é"]
)
def test_anything_else_is_no_token(text: str) -> None:
    assert not access_secrets.is_token(text)
    assert len(access_secrets.hash_of(text)) == 32


@given(text=st.text(max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    assert not access_secrets.is_token(text)


def test_tokens_are_cut_in_what_is_written_down() -> None:
    token = access_secrets.new_token()
    said = access_secrets.without_tokens(f"Authorization: Bearer {token}, orc_ab")
    assert said == f"Authorization: Bearer {token[:8]}..., orc_ab..."


def test_a_pickled_client_has_no_token() -> None:
    packed = pickle.dumps(pack(Settings(server="http://127.0.0.1:8765", token="orc_hush")))
    assert b"8765" in packed
    assert b"hush" not in packed


def test_no_repr_shows_a_secret() -> None:
    token = Token(1, "ana", "", "orc_abcd", False, None, None, NOW, None, None, None)
    session = WebSession(1, "ana", False, None, NOW, NOW, NOW)
    for each in (NewToken(token, "hush"), NewSession(session, "hush"), SignInCode("hush", NOW)):
        assert "hush" not in repr(each)
        assert pickle.loads(pickle.dumps(each)) == each
