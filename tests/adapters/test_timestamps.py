"""A time-stamp counts when it is over these bytes, for this question, by who is trusted."""

import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.timestamps import ANSWER_BYTES, HttpTsa, Rfc3161Checks
from domain.errors import Malformed, NotAuthentic, Unavailable
from services.bootstrap import now_ms
from tests.domain.worked_example import broken
from tests.tsa import Authority, run_openssl, serving

DATA = b"hub.example/trail\n1\nroot\n"
Answer = Callable[[bytes], tuple[int, bytes]]


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "right")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "other")


@pytest.fixture(scope="module")
def stamp(tsa: Authority) -> bytes:
    return tsa.stamp(DATA)


def checks(authority: Authority) -> Rfc3161Checks:
    return Rfc3161Checks(authority.ca.read_bytes())


def test_an_answer_of_the_authority_holds_here_and_by_hand(tsa: Authority, tmp_path: Path) -> None:
    # given
    before = now_ms()
    # when
    with serving(lambda query: (200, tsa.reply(query))) as address:
        found = HttpTsa(address, checks(tsa)).stamp(DATA)
    # then
    assert before - 1000 <= found.time_ms <= now_ms() + 1000
    assert checks(tsa).time_ms(found.answer, DATA) == found.time_ms
    (tmp_path / "it.tsr").write_bytes(found.answer)
    (tmp_path / "it.checkpoint").write_bytes(DATA)
    words = ("-verify", "-in", "it.tsr", "-data", "it.checkpoint", "-CAfile", str(tsa.ca))
    run_openssl(*words, cwd=tmp_path)


def test_a_stamp_that_was_asked_for_by_hand_holds_too(tsa: Authority, stamp: bytes) -> None:
    assert abs(checks(tsa).time_ms(stamp, DATA) - now_ms()) < 600_000


def test_a_stamp_of_another_authority_or_over_other_bytes_does_not_hold(
    other: Authority, tsa: Authority, stamp: bytes
) -> None:
    with pytest.raises(NotAuthentic, match=r"^TIMESTAMP: "):
        checks(other).time_ms(stamp, DATA)
    with pytest.raises(NotAuthentic, match=r"^TIMESTAMP: .*Mismatch"):
        checks(tsa).time_ms(stamp, DATA + b"\n")


@given(change=st.data())
def test_no_change_of_a_stamp_moves_its_time_or_makes_it_hold_for_other_bytes(
    tsa: Authority, stamp: bytes, change: st.DataObject
) -> None:
    # Bytes of a CMS signature that say nothing, such as the name of its algorithm, may change.
    changed, right = change.draw(broken(stamp)), checks(tsa).time_ms(stamp, DATA)
    with suppress(NotAuthentic):
        assert checks(tsa).time_ms(changed, DATA) == right
    with pytest.raises(NotAuthentic, match=r"^TIMESTAMP: "):
        checks(tsa).time_ms(changed, b"others")


@given(st.binary(max_size=200))
def test_what_is_no_stamp_does_not_hold(tsa: Authority, junk: bytes) -> None:
    with pytest.raises(NotAuthentic, match=r"^TIMESTAMP: "):
        checks(tsa).time_ms(junk, DATA)


def test_a_certificate_counts_for_the_time_of_the_stamp(tmp_path: Path) -> None:
    ended = Authority(tmp_path / "ended", ends=timedelta(days=-1))
    with pytest.raises(NotAuthentic, match=r"^TIMESTAMP: "):
        checks(ended).time_ms(ended.stamp(DATA), DATA)


def refuses(tsa: Authority) -> Answer:
    """Return the answer of a TSA that says no: a status, and no token."""
    return lambda query: (200, b"0\x050\x03\x02\x01\x02")


def replays(tsa: Authority) -> Answer:
    old = tsa.stamp(DATA)
    return lambda query: (200, old)


def about_other_bytes(tsa: Authority) -> Answer:
    return lambda query: (200, tsa.stamp(DATA + b"!"))


def endless(tsa: Authority) -> Answer:
    return lambda query: (200, bytes(ANSWER_BYTES * 4))


@pytest.mark.parametrize("wrong", [refuses, replays, about_other_bytes, endless])
def test_a_wrong_answer_is_refused(wrong: Callable[[Authority], Answer], tsa: Authority) -> None:
    with (
        serving(wrong(tsa)) as address,
        pytest.raises(NotAuthentic, match=r"^TIMESTAMP: "),
    ):
        HttpTsa(address, checks(tsa)).stamp(DATA)


def test_the_answer_of_another_key_is_refused(tsa: Authority, other: Authority) -> None:
    with (
        serving(lambda query: (200, other.reply(query))) as address,
        pytest.raises(NotAuthentic, match=r"^TIMESTAMP: "),
    ):
        HttpTsa(address, checks(tsa)).stamp(DATA)


def test_an_authority_that_is_away_is_asked_again_later(tsa: Authority) -> None:
    with (
        serving(lambda query: (503, b"")) as address,
        pytest.raises(Unavailable, match=r"^TSA_AWAY: .*503"),
    ):
        HttpTsa(address, checks(tsa)).stamp(DATA)
    with pytest.raises(Unavailable, match=r"^TSA_AWAY: "):
        HttpTsa("http://127.0.0.1:1", checks(tsa)).stamp(DATA)


def test_nobody_waits_for_a_slow_authority(tsa: Authority) -> None:
    done = threading.Event()

    def slow(query: bytes) -> tuple[int, bytes]:
        done.wait()
        return 200, b""

    with serving(slow) as address, ExitStack() as ending:
        ending.callback(done.set)
        with pytest.raises(Unavailable, match=r"^TSA_AWAY: "):
            HttpTsa(address, checks(tsa), seconds=0.2).stamp(DATA)


@pytest.mark.parametrize("pem", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAA==\n"])
def test_what_is_no_certificate_is_not_trusted(pem: bytes) -> None:
    with pytest.raises(Malformed, match=r"^TSA_CA: "):
        Rfc3161Checks(pem)


@pytest.mark.parametrize("address", ["", "tsa.example", "ftp://tsa.example", "http://"])
def test_what_is_no_address_is_not_asked(address: str, tsa: Authority) -> None:
    with pytest.raises(Malformed, match=r"^TSA_URL: "):
        HttpTsa(address, checks(tsa))
