"""A gateway takes only checkpoints that continue the one it saw; two logs are an alarm."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import HubError, Malformed, NotAuthentic, Refused, Unavailable
from domain.gateway_trail import SPLIT_VIEW
from domain.trail.checkpoint import sign
from domain.trail.merkle import EMPTY_ROOT
from domain.trail.notes import Note
from services.gateway.checkpoints import Checkpoints
from services.gateway.deciding import decide, exported
from tests.services.gateway_trail import NOW, LogLink, following, kept
from tests.witnessed import Log, witness_signer

LOG = Log()
FORK = LOG.fork(at=5)
W1, W2, W3 = (witness_signer(f"{name}.example/w") for name in ("one", "two", "three"))


def cosigned(log: Log, size: int, *witnesses: object, at_s: int = 50) -> bytes:
    checkpoint = log.checkpoint(size)
    lines = [sign(checkpoint, log.signer, 0)]
    lines += [sign(checkpoint, w, at_s) for w in witnesses]  # type: ignore[arg-type]
    return Note(checkpoint.text, tuple(lines)).encode()


async def refusal_of(checkpoints: Checkpoints) -> HubError:
    with pytest.raises(HubError) as caught:
        await checkpoints.poll()
    return caught.value


async def test_nothing_is_seen_before_the_first_checkpoint() -> None:
    checkpoints = following(LOG, LogLink(), kept())
    assert (await refusal_of(checkpoints)).code == "TRAIL_EMPTY"
    assert checkpoints.seen() == (0, EMPTY_ROOT)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=4).map(sorted))
async def test_what_continues_the_newest_takes_its_place(sizes: list[int]) -> None:
    link, trail = LogLink(), kept()
    checkpoints = following(LOG, link, trail)
    for size in sizes:
        link.show(LOG, size)
        await checkpoints.poll()
        assert checkpoints.seen() == (size, LOG.checkpoint(size).root)
    assert following(LOG, link, trail).seen() == checkpoints.seen()  # after a restart
    assert not trail.alarms()


async def test_a_checkpoint_is_news_once_and_again_when_it_was_cosigned_anew() -> None:
    link = LogLink()
    checkpoints = following(LOG, link, kept(), W1.key)
    link.show(LOG, 3, cosigned(LOG, 3, W1, at_s=50))
    assert [await checkpoints.poll(), await checkpoints.poll()] == [True, False]
    link.show(LOG, 3, cosigned(LOG, 3, W1, at_s=60))
    assert await checkpoints.poll()
    assert checkpoints.witnessed_ms == 60_000


@pytest.mark.parametrize("wrong_s", [40, 1 << 62], ids=["behind", "ahead"])
async def test_one_clock_that_is_wrong_makes_no_checkpoint_younger_than_a_quorum_does(
    wrong_s: int,
) -> None:
    """Given a quorum of two out of three."""
    link, checkpoint = LogLink(), LOG.checkpoint(3)
    times = {W1: 50, W2: 50, W3: wrong_s}
    lines = [sign(checkpoint, LOG.signer, 0), *(sign(checkpoint, w, s) for w, s in times.items())]
    checkpoints = following(LOG, link, kept(), W1.key, W2.key, W3.key, needed=2)
    link.show(LOG, 3, Note(checkpoint.text, tuple(lines)).encode())
    await checkpoints.poll()
    assert checkpoints.witnessed_ms == 50_000


async def test_a_checkpoint_is_not_younger_than_it_was_taken() -> None:
    link = LogLink()
    checkpoints = following(LOG, link, kept(), W1.key)
    for at_s in (1 << 62, NOW // 1000):
        link.show(LOG, 3, cosigned(LOG, 3, W1, at_s=at_s))
        await checkpoints.poll()
        assert checkpoints.witnessed_ms == NOW


@pytest.mark.parametrize("size", [3, 9, 12, 300], ids=["smaller", "same", "larger", "much larger"])
async def test_of_two_logs_with_the_same_key_both_notes_are_kept_and_nothing_more_is_taken(
    size: int,
) -> None:
    """Given a gateway that saw the log at 9, when it is shown a fork that is signed validly."""
    link, trail = LogLink(), kept()
    checkpoints = following(LOG, link, trail, W1.key, W2.key)
    first = cosigned(LOG, 9, W1, W2)
    link.show(LOG, 9, first)
    await checkpoints.poll()
    shown = cosigned(FORK, size, W1, W2)
    link.show(FORK, size, shown)
    assert (await refusal_of(checkpoints)).code == SPLIT_VIEW

    (alarm,) = trail.alarms(evidence=True)
    assert (alarm.code, dict(alarm.evidence)) == (
        SPLIT_VIEW,
        {"seen.checkpoint": first, "shown.checkpoint": shown},
    )
    link.show(LOG, 20, cosigned(LOG, 20, W1, W2))
    assert (await refusal_of(checkpoints)).code == SPLIT_VIEW
    assert checkpoints.seen() == (9, LOG.checkpoint(9).root)
    assert dict(exported(trail))["alarm-1/shown.checkpoint"] == shown


async def test_a_log_that_went_back_is_an_alarm_even_if_it_is_the_same() -> None:
    link, trail = LogLink(), kept()
    checkpoints = following(LOG, link, trail)
    link.show(LOG, 9)
    await checkpoints.poll()
    link.show(LOG, 4)
    assert (await refusal_of(checkpoints)).code == SPLIT_VIEW
    assert [a.about for a in trail.alarms()] == ["the log went back from 9 to 4"]


async def test_a_fork_needs_no_quorum_to_be_an_alarm_and_growth_needs_it_to_be_taken() -> None:
    link, trail = LogLink(), kept()
    checkpoints = following(LOG, link, trail, W1.key, W2.key)
    link.show(LOG, 9, cosigned(LOG, 9, W1, W2))
    await checkpoints.poll()
    link.show(LOG, 12, cosigned(LOG, 12, W1))
    assert (await refusal_of(checkpoints)).code == "QUORUM"
    assert (checkpoints.seen()[0], list(trail.alarms())) == (9, [])
    link.show(FORK, 12, cosigned(FORK, 12))
    assert (await refusal_of(checkpoints)).code == SPLIT_VIEW


@pytest.mark.parametrize(("follow", "goes_on_with"), [("seen", LOG), ("shown", FORK)])
async def test_once_somebody_has_decided_the_log_that_was_chosen_is_followed(
    follow: str, goes_on_with: Log
) -> None:
    link, trail = LogLink(), kept()
    checkpoints = following(LOG, link, trail)
    link.show(LOG, 9)
    await checkpoints.poll()
    link.show(FORK, 12)
    await refusal_of(checkpoints)

    decide(trail, 1, "the coordinator: looked into", follow)
    link.show(goes_on_with, 15)
    assert await checkpoints.poll()
    assert checkpoints.seen() == (15, goes_on_with.checkpoint(15).root)
    assert trail.alarms()[0].decided == "the coordinator: looked into"
    other = FORK if goes_on_with is LOG else LOG
    link.show(other, 16)
    assert (await refusal_of(checkpoints)).code == SPLIT_VIEW
    assert len(trail.alarms()) == 2


async def test_a_note_of_the_log_that_was_given_up_is_an_alarm_again() -> None:
    link, trail = LogLink(), kept()
    checkpoints = following(LOG, link, trail)
    link.show(LOG, 9)
    await checkpoints.poll()
    link.show(FORK, 8)
    await refusal_of(checkpoints)
    decide(trail, 1, "the coordinator: looked into", "shown")
    link.show(LOG, 9)
    assert (await refusal_of(checkpoints)).code == SPLIT_VIEW


@pytest.mark.parametrize("again", [FORK, LOG.fork(at=6)], ids=["the same", "a third"])
async def test_after_a_decision_another_of_the_same_size_is_an_alarm_with_its_own_notes(
    again: Log,
) -> None:
    link, trail = LogLink(), kept()
    checkpoints = following(LOG, link, trail)
    link.show(LOG, 9)
    await checkpoints.poll()
    for number, log in enumerate((FORK, again), 1):
        link.show(log, 9)
        assert (await refusal_of(checkpoints)).code == SPLIT_VIEW
        assert checkpoints.halted
        assert trail.alarms(evidence=True)[-1].evidence["shown.checkpoint"] == log.note(9)
        decide(trail, number, "the coordinator: looked into", "seen")


@pytest.mark.parametrize(
    ("number", "follow", "code"),
    [(2, "seen", "NO_SUCH_ALARM"), (1, "", "FOLLOW"), (1, "x", "FOLLOW")],
)
async def test_a_decision_that_decides_nothing_is_refused(
    number: int, follow: str, code: str
) -> None:
    link, trail = LogLink(), kept()
    checkpoints = following(LOG, link, trail)
    for log, size in ((LOG, 9), (FORK, 9)):
        link.show(log, size)
        if log is LOG:
            await checkpoints.poll()
        else:
            await refusal_of(checkpoints)
    with pytest.raises(Refused) as caught:
        decide(trail, number, "somebody: because", follow)
    assert caught.value.code == code
    assert checkpoints.halted


async def test_a_partial_tile_that_is_gone_is_read_from_the_full_one() -> None:
    link, trail = LogLink(), kept()
    checkpoints = following(LOG, link, trail)
    link.show(LOG, 250)
    await checkpoints.poll()
    link.show(LOG, 300)
    note = link.files["checkpoint"]
    link.show(LOG, 520)  # the log is larger by now, and 256 to 299 are in a full tile
    link.files["checkpoint"] = note
    link.files = {path: data for path, data in link.files.items() if ".p/" not in path}
    link.files["tile/1/000.p/1"] = LOG.nodes(8, 0)
    await checkpoints.poll()
    assert checkpoints.seen()[0] == 300


@pytest.mark.parametrize(
    ("damage", "kind"), [(lambda _: None, Unavailable), (lambda data: data[:-1], Malformed)]
)
async def test_a_tile_that_is_missing_or_cut_off_is_no_alarm_and_no_proof(
    damage: object, kind: type[HubError]
) -> None:
    link, trail = LogLink(), kept()
    checkpoints = following(LOG, link, trail)
    link.show(LOG, 9)
    await checkpoints.poll()
    link.show(LOG, 12)
    cut = damage(link.files.pop("tile/0/000.p/12"))  # type: ignore[operator]
    link.files |= {"tile/0/000.p/12": cut} if cut else {}
    assert isinstance(await refusal_of(checkpoints), kind)
    assert (checkpoints.seen()[0], list(trail.alarms())) == (9, [])


@pytest.mark.parametrize(
    "note",
    [b"", b"nonsense\n", Log("other.example/log").note(12), LOG.note(12).replace(b"12", b"13")],
    ids=["empty", "no note", "another log", "altered"],
)
async def test_what_the_log_did_not_sign_is_refused_and_no_alarm(note: bytes) -> None:
    link, trail = LogLink(), kept()
    checkpoints = following(LOG, link, trail)
    link.show(LOG, 9)
    await checkpoints.poll()
    link.files["checkpoint"] = note
    assert isinstance(await refusal_of(checkpoints), Malformed | NotAuthentic)
    assert (checkpoints.seen()[0], list(trail.alarms())) == (9, [])
