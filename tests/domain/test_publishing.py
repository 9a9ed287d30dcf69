"""The rule by which a relay knows that its store is the one that was published."""

from dataclasses import replace

import pytest

from domain.errors import Corrupt
from domain.publishing import NOTHING, Published, check_store, event_digest
from tests.builders import uid
from tests.contracts.making import recorded, refusal

STORE = uid("store")
EVENT = recorded("event 9", position=9)
REFUSED = refusal("refused 2", number=2)
PLACE = Published(incarnation=STORE, position=9, digest=event_digest(EVENT), refusals=2)


def code_of(place: Published, *found: object) -> str:
    with pytest.raises(Corrupt) as refused:
        check_store(place, *found)  # type: ignore[arg-type]
    return refused.value.code


def test_the_store_that_was_published_goes_on() -> None:
    check_store(PLACE, STORE, EVENT, REFUSED)
    check_store(Published(incarnation=STORE), STORE, None, None)
    check_store(Published(incarnation=STORE, refusals=2), STORE, None, REFUSED)


def test_another_store_never_writes_on() -> None:
    assert code_of(PLACE, uid("another"), EVENT, REFUSED) == "LOG_OF_ANOTHER_STORE"
    assert code_of(Published(incarnation=STORE), uid("another"), None, None) == (
        "LOG_OF_ANOTHER_STORE"
    )


def test_a_store_behind_the_log_never_writes_on() -> None:
    assert code_of(PLACE, STORE, None, REFUSED) == "STORE_RESTORED"
    assert code_of(PLACE, STORE, EVENT, None) == "STORE_RESTORED"


@pytest.mark.parametrize(
    "change",
    [{"position": 8}, {"statement": EVENT.statement[::-1]}, {"signature": EVENT.signature[::-1]}],
)
def test_a_store_that_holds_another_event_there_never_writes_on(change: dict[str, object]) -> None:
    other = replace(EVENT, **change)  # type: ignore[arg-type]
    assert code_of(PLACE, STORE, other, REFUSED) == "STORE_FORKED"


def test_every_refusal_to_write_on_says_what_to_do() -> None:
    for found in ((uid("another"), EVENT), (STORE, None), (STORE, recorded("event 10"))):
        with pytest.raises(Corrupt, match=r"rebuild --from-kafka|a log of its own"):
            check_store(PLACE, found[0], found[1], REFUSED)


def test_no_event_has_the_digest_of_no_event() -> None:
    assert Published(incarnation=STORE).digest == NOTHING
    assert event_digest(EVENT) != NOTHING
    assert len(event_digest(EVENT)) == len(NOTHING)
