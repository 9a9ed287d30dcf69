"""The contracts of `Custody` and `ShredKeys`: what the custodian must never lose or mix up."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.sealing import Box
from adapters.sqlite.custody import SqliteCustody
from adapters.sqlite.shred_keys import SqliteShredKeys
from domain.custody import Custody, HeldKey, HeldRelease, Proven, SeenLog, ShredKeys, Split, Waiting
from domain.errors import Refused, Unreadable
from domain.vocabulary import Seat
from tests.agencies import sha
from tests.builders import CASE, uid
from tests.contracts.making import followed

OTHER = uid("another case")
DURABLE: dict[str, Callable[[Path], SqliteCustody]] = {
    "sqlite file": lambda folder: SqliteCustody(str(folder / "custody.db")),
}
CUSTODIES = DURABLE | {
    "sqlite in memory": lambda _: SqliteCustody(""),
}
DURABLE_SHREDS: dict[str, Callable[[Path], SqliteShredKeys]] = {
    "sqlite file": lambda folder: SqliteShredKeys(
        str(folder / "shreds.db"), Box(sha("custodian")), counted_keys(), cached=1
    ),
}
SHREDS = DURABLE_SHREDS | {
    "sqlite in memory": lambda _: SqliteShredKeys("", Box(sha("custodian")), counted_keys()),
}


def counted_keys() -> Callable[[], bytes]:
    """Return a maker of keys that are all different."""
    made: list[bytes] = []

    def new_key() -> bytes:
        made.append(hashlib.sha256(f"shred key {len(made)}".encode()).digest())
        return made[-1]

    return new_key


@pytest.fixture(params=CUSTODIES)
def custody(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Custody]:
    with closing(CUSTODIES[request.param](tmp_path)) as opened:
        yield opened


@pytest.fixture(params=DURABLE)
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], SqliteCustody]:
    return lambda: DURABLE[request.param](tmp_path)


@pytest.fixture(params=SHREDS)
def shreds(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ShredKeys]:
    with closing(SHREDS[request.param](tmp_path)) as opened:
        yield opened


@pytest.fixture(params=DURABLE_SHREDS)
def reopen_shreds(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], SqliteShredKeys]:
    return lambda: DURABLE_SHREDS[request.param](tmp_path)


def key(epoch: int, boxed: bytes = b"boxed", **changes: Any) -> HeldKey:
    return replace(
        HeldKey(case_id=CASE, writer="charity", category=1, epoch=epoch, boxed=boxed), **changes
    )


def release(recipient: str = "shelter", **changes: Any) -> HeldRelease:
    made = HeldRelease(
        seq=0,
        case_id=CASE,
        recipient=recipient,
        writer="charity",
        state=sha("state"),
        boxed=(b"one", b"", bytes(300)),
    )
    return replace(made, **changes)


def test_an_empty_custody_knows_nothing(custody: Custody) -> None:
    assert custody.position() == 0
    assert list(custody.followed(CASE)) == []
    assert list(custody.held(CASE)) == []
    assert list(custody.withdrawals(CASE)) == []
    assert list(custody.releases_of_case(CASE)) == []
    assert list(custody.releases("shelter", 0, 10)) == []
    assert list(custody.proven(CASE)) == []
    assert (custody.unwitnessed(), custody.waiting(), custody.waits(CASE)) == ({}, {}, None)
    assert custody.seen("log") is None
    assert list(custody.splits("log")) == []
    assert custody.facts() == 0


def test_what_was_followed_comes_back_as_it_was_and_in_order(custody: Custody) -> None:
    items = [followed("two", 2), followed("one", 1), followed("other", 1, OTHER)]
    custody.follow(items, 30)
    assert custody.position() == 30
    assert custody.followed(CASE) == [followed("one", 1), followed("two", 2)]
    assert custody.followed(CASE, 1) == [followed("two", 2)]


def test_a_page_followed_twice_changes_nothing(custody: Custody) -> None:
    custody.follow([followed("one", 1)], 10)
    custody.follow([followed("a second tale", 1), followed("two", 2)], 20)
    assert custody.followed(CASE) == [followed("one", 1), followed("two", 2)]


def test_the_position_never_goes_back(custody: Custody) -> None:
    custody.follow([], 20)
    custody.follow([followed("one", 1)], 10)
    assert custody.position() == 20


def test_a_key_that_is_held_stays_as_it_is(custody: Custody) -> None:
    custody.hold([key(1, b"first")])
    custody.hold([key(1, b"swapped"), key(2)])
    assert sorted(custody.held(CASE), key=lambda k: k.epoch) == [key(1, b"first"), key(2)]


def test_keys_are_told_apart_by_case_writer_category_and_epoch(custody: Custody) -> None:
    keys = [key(1), key(2), key(1, category=2), key(1, writer="shelter")]
    custody.hold(keys)
    custody.hold([key(1, b"of another case", case_id=OTHER)])
    assert len(custody.held(CASE)) == 4
    assert custody.held(OTHER) == [key(1, b"of another case", case_id=OTHER)]


def test_withdrawals_of_one_act_and_of_all_are_kept(custody: Custody) -> None:
    custody.withdraw(CASE, "act", 5)
    custody.withdraw(CASE, None, 7)
    custody.withdraw(OTHER, None, 9)
    assert sorted(custody.withdrawals(CASE), key=lambda w: w[1]) == [("act", 5), (None, 7)]


def test_a_recipients_changes_are_numbered_without_gaps(custody: Custody) -> None:
    custody.put_releases([release(), release(writer="clinic"), release("police")])
    custody.put_releases([release(case_id=OTHER)])
    assert [r.seq for r in custody.releases("shelter", 0, 10)] == [1, 2, 3]
    assert [r.seq for r in custody.releases("police", 0, 10)] == [1]
    assert [r.seq for r in custody.releases("shelter", 1, 1)] == [2]


def test_a_release_comes_back_as_it_was(custody: Custody) -> None:
    custody.put_releases([release(seq=77)])
    assert custody.releases("shelter", 0, 10) == [release(seq=1)]


def test_a_newer_release_stands_in_the_place_of_the_older(custody: Custody) -> None:
    custody.put_releases([release(), release(writer="clinic")])
    removed = release(state=b"", boxed=())
    custody.put_releases([removed])
    assert custody.releases("shelter", 1, 10) == [
        release(writer="clinic", seq=2),
        replace(removed, seq=3),
    ]
    assert len(custody.releases_of_case(CASE)) == 2


def test_releases_of_a_case_are_of_every_recipient(custody: Custody) -> None:
    custody.put_releases([release(), release("police"), release(case_id=OTHER)])
    assert {r.recipient for r in custody.releases_of_case(CASE)} == {"shelter", "police"}


def proven(agency: str = "shelter", epoch: int = 1, **changes: Any) -> Proven:
    seat = Seat(agency, "protection_support")
    return Proven(seat, ("charity", 1, epoch), size=9, witnessed=True)._replace(**changes)


def test_what_is_proven_of_a_case_takes_the_place_of_what_was(custody: Custody) -> None:
    custody.prove(OTHER, [proven()])
    custody.prove(CASE, [proven(), proven(epoch=2), proven("police")])
    assert set(custody.proven(CASE)) == {proven(), proven(epoch=2), proven("police")}
    custody.prove(CASE, [proven(size=12)])
    assert custody.proven(CASE) == [proven(size=12)]
    assert custody.proven(OTHER) == [proven()]
    custody.prove(CASE, [])
    assert list(custody.proven(CASE)) == []


def test_cases_proven_without_a_quorum_are_known_until_one_has_seen_them(custody: Custody) -> None:
    alone = proven(witnessed=False)
    custody.prove(CASE, [alone, proven(epoch=2, witnessed=False, size=7), proven("police")])
    custody.prove(OTHER, [proven()])
    assert custody.unwitnessed() == {CASE: 9}
    custody.prove(CASE, [proven()])
    assert custody.unwitnessed() == {}


def test_what_waits_is_noted_case_by_case(custody: Custody) -> None:
    custody.wait(CASE, Waiting(5, 1))
    custody.wait(OTHER, Waiting(7, 1))
    custody.wait(CASE, Waiting(5, 3))
    assert custody.waiting() == {CASE: Waiting(5, 3), OTHER: Waiting(7, 1)}
    assert custody.waits(CASE) == Waiting(5, 3)
    custody.wait(CASE, None)
    custody.wait(CASE, None)
    assert custody.waiting() == {OTHER: Waiting(7, 1)}


def test_what_was_seen_is_kept_for_each_log_by_itself(custody: Custody) -> None:
    custody.see("log", SeenLog(5, sha("root"), b"note", None))
    custody.see("another", SeenLog(9, sha("its"), b"its", 3))
    custody.see("log", SeenLog(6, sha("newer"), b"newer", 7))
    assert custody.seen("log") == SeenLog(6, sha("newer"), b"newer", 7)
    assert custody.seen("another") == SeenLog(9, sha("its"), b"its", 3)


def test_of_a_split_view_both_notes_are_kept_and_one_waits_for_a_decision_at_most(
    custody: Custody,
) -> None:
    first, second = Split(b"seen", b"shown", 5), Split(b"seen", b"another", 6)
    custody.split("log", first)
    custody.split("log", second)
    custody.split("another log", second)
    assert custody.splits("log") == [first]
    custody.decide("log", "somebody: because")
    with pytest.raises(Refused, match="NO_SPLIT_VIEW"):
        custody.decide("log", "somebody else: because")
    custody.split("log", second)
    assert custody.splits("log") == [first._replace(decided="somebody: because"), second]
    assert custody.splits("another log") == [second], "each log is decided about by itself"


def test_who_goes_on_from_another_log_has_what_was_proven_to_prove_again(custody: Custody) -> None:
    """Given keys proven in one log, when another is followed, they are as without a quorum."""
    custody.prove(CASE, [proven()])
    custody.see("log", SeenLog(5, sha("root"), b"seen", 7))
    custody.split("log", Split(b"seen", b"shown", 5))
    custody.decide("log", "somebody: because", SeenLog(4, sha("other"), b"shown", None))
    assert custody.seen("log") == SeenLog(4, sha("other"), b"shown", None)
    assert custody.unwitnessed() == {CASE: 0}
    assert {(p.seat, p.key) for p in custody.proven(CASE)} == {(proven().seat, proven().key)}


def test_who_stays_with_the_log_that_was_seen_has_nothing_to_prove_again(custody: Custody) -> None:
    custody.prove(CASE, [proven()])
    custody.see("log", SeenLog(5, sha("root"), b"seen", 7))
    custody.split("log", Split(b"seen", b"shown", 5))
    custody.decide("log", "somebody: because")
    assert custody.seen("log") == SeenLog(5, sha("root"), b"seen", 7)
    assert custody.unwitnessed() == {}


def test_what_is_written_together_is_written_as_one_or_not_at_all(custody: Custody) -> None:
    def fail_halfway() -> None:
        with custody.together():
            custody.prove(CASE, [proven()])
            custody.wait(CASE, Waiting(5, 1))
            raise ValueError("halfway")

    with pytest.raises(ValueError, match="halfway"):
        fail_halfway()
    assert list(custody.proven(CASE)) == []
    assert custody.waiting() == {}


def test_custody_opened_again_has_everything(reopen: Callable[[], SqliteCustody]) -> None:
    with closing(reopen()) as first:
        first.follow([followed("one", 1)], 10)
        first.hold([key(1)])
        first.withdraw(CASE, None, 7)
        first.put_releases([release()])
        first.prove(CASE, [proven()])
        first.wait(CASE, Waiting(5, 1))
        first.see("log", SeenLog(5, sha("root"), b"note", None))
        first.split("log", Split(b"note", b"another", 6))
        first.show_facts(3)
        first.show_facts(4)
    with closing(reopen()) as second:
        assert second.proven(CASE) == [proven()]
        assert second.waiting() == {CASE: Waiting(5, 1)}
        assert second.seen("log") == SeenLog(5, sha("root"), b"note", None)
        assert second.facts() == 4
        assert second.splits("log") == [Split(b"note", b"another", 6)]
        assert second.position() == 10
        assert second.followed(CASE) == [followed("one", 1)]
        assert second.held(CASE) == [key(1)]
        assert second.withdrawals(CASE) == [(None, 7)]
        second.put_releases([release(writer="clinic")])
        assert [r.seq for r in second.releases("shelter", 0, 10)] == [1, 2]


def test_a_box_opens_what_it_sealed_and_no_other_does(shreds: ShredKeys) -> None:
    sealed = shreds.box(CASE).seal(b"data key", b"place")
    assert shreds.box(CASE).open(sealed, b"place") == b"data key"
    with pytest.raises(Unreadable):
        shreds.box(OTHER).open(sealed, b"place")
    assert shreds.box(CASE).open(sealed, b"place") == b"data key"


def test_a_shred_key_survives_a_restart(reopen_shreds: Callable[[], SqliteShredKeys]) -> None:
    with closing(reopen_shreds()) as first:
        sealed = first.box(CASE).seal(b"data key", b"place")
    with closing(reopen_shreds()) as second:
        assert second.box(CASE).open(sealed, b"place") == b"data key"


def test_a_key_is_durable_before_it_is_used(reopen_shreds: Callable[[], SqliteShredKeys]) -> None:
    with closing(reopen_shreds()) as one, closing(reopen_shreds()) as two:
        sealed = one.box(CASE).seal(b"data key", b"place")
        assert two.box(CASE).open(sealed, b"place") == b"data key"


def test_keys_made_beforehand_replace_none_that_is_there(
    reopen_shreds: Callable[[], SqliteShredKeys],
) -> None:
    with closing(reopen_shreds()) as one, closing(reopen_shreds()) as two:
        sealed = one.box(CASE).seal(b"data key", b"place")
        two.make([CASE, OTHER])
        assert two.box(CASE).open(sealed, b"place") == b"data key"
        other = two.box(OTHER).seal(b"other key", b"place")
        assert one.box(OTHER).open(other, b"place") == b"other key"


def test_a_shred_key_does_not_lie_in_the_file(
    reopen_shreds: Callable[[], SqliteShredKeys], tmp_path: Path
) -> None:
    first_key = counted_keys()()
    with closing(reopen_shreds()) as opened:
        opened.box(CASE)
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    assert files
    assert not any(first_key in content for content in files)
