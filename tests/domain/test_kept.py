"""A replay that is kept and taken up again finds what a whole one finds, and nothing else.

What is kept is not believed where a tree can show it; whoever changes it, checksum included, is
told of by the map of heads, the registry's chain or the tree.
"""

import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed, NotAuthentic
from domain.trail.checkpoint import Checkpoint
from domain.trail.deliveries import Delivery
from domain.trail.entry import Epoch
from domain.trail.heads import Head, HeadMap, stream_key
from domain.trail.kept import VERSION, Preface, decode, encode, sealed
from domain.trail.merkle import Range
from domain.trail.replay import REGISTRY, Kept, Replay
from domain.trail.state import Item
from domain.trail.statement import Kind
from tests.domain.logs import (
    CASE,
    OTHER,
    SHOWN,
    SHOWN_OTHER,
    Known,
    Leaf,
    Log,
    delivery,
    example,
    public,
    rebuilt,
)
from tests.vectors import key, load

ORIGIN, TRUST = "hub.example/trail", key("trust.json")


def replay(kept: Kept | None = None, keys: Known | None = None) -> Replay:
    return Replay(keys=keys or Known(), notary=public("notary"), kept=kept)


def after(leaves: Sequence[Leaf], begun: Replay | None = None) -> Replay:
    """Return a replay after these leaves."""
    replaying = begun or replay()
    for data, body in leaves:
        replaying.take(data, body)
    return replaying


def kept(replaying: Replay) -> bytes:
    found = replaying.kept
    assert found is not None
    return encode(found, ORIGIN, TRUST)


def ends(leaves: Sequence[Leaf]) -> list[int]:
    """Return the sizes of the checkpoints of a log."""
    return [n for n, (data, _) in enumerate(leaves, 1) if data[1] == Kind.EPOCH]


class Growing:
    """A log whose every entry is right, made of small steps."""

    def __init__(self) -> None:
        self.log = Log()
        self._feeds: dict[str, int] = {}
        self._given: list[tuple[bytes, bytes, Delivery]] = []
        self._news: list[Delivery] = []

    def act(self, who: str, stream: bytes) -> None:
        self.log.act(who, stream)

    def refuse(self, who: str, stream: bytes) -> None:
        self.log.act(who, stream, code="CONSENT_MISSING")

    def challenge(self, who: str, stream: bytes) -> None:
        self.log.challenge()

    def disclose(self, who: str, stream: bytes) -> None:
        shown = SHOWN if stream == CASE else SHOWN_OTHER
        self._feeds[who] = seq = self._feeds.get(who, 0) + 1
        one = delivery(seq, agency=who)
        self._given.append((shown, self.log.disclose(one, stream=shown), one))

    def receive(self, who: str, stream: bytes) -> None:
        if self._given:
            shown, by, one = self._given[-1]
            self.log.receive(by, one, stream=shown, who=one.agency)

    def close(self, who: str, stream: bytes) -> None:
        self.log.close()


STEPS = st.tuples(
    st.sampled_from(["act", "refuse", "challenge", "disclose", "receive", "close", "act"]),
    st.sampled_from(["police", "charity"]),
    st.sampled_from([CASE, OTHER, REGISTRY]),
)


@st.composite
def logs(draw: st.DrawFn) -> list[Leaf]:
    growing = Growing()
    for step, who, stream in draw(st.lists(STEPS, min_size=1, max_size=25)):
        getattr(growing, step)(who, stream)
    return growing.log.close().leaves


@given(logs(), st.data())
def test_a_replay_taken_up_at_any_checkpoint_comes_to_the_same(
    leaves: list[Leaf], data: st.DataObject
) -> None:
    cut = data.draw(st.sampled_from(ends(leaves)))
    whole, begun = after(leaves), kept(after(leaves[:cut]))
    resumed = after(leaves[cut:], replay(decode(begun)))
    assert encode(decode(begun), ORIGIN, TRUST) == begun
    assert kept(resumed) == kept(whole)
    assert resumed.findings == resumed.alarms == []


class Change(NamedTuple):
    """One lie about what stands in the tail of a log."""

    at: int
    how: str
    byte: int
    flip: int
    refit: bool

    def of(self, leaves: Sequence[Leaf], cut: int) -> list[Leaf]:
        """Return a log with it; if `refit`, its EPOCHs and places are made to fit as far as so."""
        told = list(leaves)
        at = cut + self.at % (len(leaves) - cut)
        data, body = told[at]
        match self.how:
            case "drop":
                del told[at]
            case "twice":
                told.insert(at, told[at])
            case "swap":
                told[at], told[cut] = told[cut], told[at]
            case "entry":
                changed = bytearray(data)
                changed[self.byte % len(data)] ^= self.flip
                told[at] = bytes(changed), body
            case _:
                told[at] = data, bytes((self.flip,)) + body
        try:
            return rebuilt(told, renumber=True) if self.refit else told
        except (Malformed, struct.error):
            return told


CHANGES = st.builds(
    Change,
    st.integers(0, 99),
    st.sampled_from(["drop", "twice", "swap", "entry", "entry", "body"]),
    st.integers(0, 401),
    st.integers(1, 255),
    st.booleans(),
)


@given(logs(), CHANGES, st.data())
def test_whatever_is_wrong_after_a_checkpoint_is_found_alike_from_there_and_from_the_start(
    leaves: list[Leaf], change: Change, data: st.DataObject
) -> None:
    cut = data.draw(st.sampled_from([size for size in (0, *ends(leaves)) if size < len(leaves)]))
    told = change.of(leaves, cut)
    whole = after(told)
    begun = replay(decode(kept(after(told[:cut])))) if cut else replay()
    resumed = after(told[cut:], begun)
    whole.finish()
    resumed.finish()
    assert resumed.findings == whole.findings
    assert resumed.alarms == whole.alarms
    assert resumed.state.range == whole.state.range


def test_alarms_are_kept_and_do_not_end_it() -> None:
    log = example()
    log.act(seen_size=5, seen_root=key("root of a fork"))
    first = after(log.close().leaves)
    again = replay(decode(kept(first)))
    assert [(a.index, a.check) for a in again.alarms] == [(12, "SEEN")]
    assert again.alarms == first.alarms
    assert after(example().close().leaves[12:], again).alarms == first.alarms


def test_nothing_is_kept_within_a_checkpoint_or_once_anything_is_wrong() -> None:
    log = example()
    log.act()
    assert after(log.leaves).kept is None
    assert replay().kept is None
    log.act(actor_seq=0)
    assert after(log.close().leaves).kept is None


def test_keys_are_learned_again_and_refusals_count_in_the_registrys_chain() -> None:
    log = Log()
    facts = [log.act("police", REGISTRY)]
    log.act("police", REGISTRY, code="NOT_APPROVED")
    facts.append(log.act("police", REGISTRY))
    known = Known()
    replay(decode(kept(after(log.close().leaves))), keys=known)
    assert known.learned == facts


def test_a_fact_that_does_not_hold_any_more_ends_it() -> None:
    class Strict(Known):
        def learn(self, item: Item) -> None:
            raise NotAuthentic("REGISTRY_FACT", "it does not hold")

    log = Log()
    log.act("police", REGISTRY)
    begun = decode(kept(after(log.close().leaves)))
    with pytest.raises(NotAuthentic):
        replay(begun, keys=Strict())


DATA = kept(after(example().leaves))


def test_the_preface_says_of_what_and_under_whom() -> None:
    preface = Preface.of(DATA)
    state = example().state
    assert preface == (VERSION, Checkpoint(ORIGIN, state.size, state.range.root), TRUST)
    assert preface.unfit(TRUST) == ""
    assert "another trust.json" in preface.unfit(key("another"))
    older = sealed(preface._replace(version=0).encode() + b"in another form")
    assert "version 0" in Preface.of(older).unfit(TRUST)
    with pytest.raises(Malformed, match="version 0, not 1"):
        decode(older)


def resealed(data: bytes) -> bytes:
    """Return it with a checksum that fits."""
    return sealed(data[:-32])


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_byte_that_was_changed_or_cut_off_is_told_of(at: int, flip: int) -> None:
    changed = bytearray(DATA)
    changed[at] ^= flip
    for data in (bytes(changed), DATA[:at], DATA + b"\0", resealed(DATA[:at])):
        with pytest.raises(Malformed, match=r"^STATE: "):
            decode(data)


@given(st.integers(0, len(DATA) - 33), st.integers(1, 255))
def test_with_a_checksum_that_fits_there_is_still_one_encoding(at: int, flip: int) -> None:
    changed = bytearray(DATA)
    changed[at] ^= flip
    data = resealed(bytes(changed))
    with suppress(Malformed):
        preface, found = Preface.of(data), decode(data)
        assert encode(found, preface.checkpoint.origin, preface.trust) == data


def with_another_head(kept: Kept) -> None:
    kept.state.heads.set(stream_key(CASE), Head(1, bytes(32), 0))


def with_a_head_more(kept: Kept) -> None:
    kept.state.heads.set(key("nobody's"), Head(1, bytes(32), 0))


def with_a_longer_feed(kept: Kept) -> None:
    feed = next(iter(kept.state.delivered.feeds))
    kept.state.delivered.feeds[feed] = kept.state.delivered.feeds[feed].append(bytes(32))


def with_another_feed(kept: Kept) -> None:
    feed = next(iter(kept.state.delivered.feeds))
    kept.state.delivered.feeds[feed._replace(agency="stranger")] = Range(1, (bytes(32),))


def with_disclosures_more(kept: Kept) -> None:
    kept.state.delivered.cases[SHOWN].digests += [bytes(32)] * 9


def with_a_mark_of_none(kept: Kept) -> None:
    kept.state.delivered.cases[SHOWN].marks["charity"] += b"\xff" * 36


def with_half_a_mark(kept: Kept) -> None:
    kept.state.delivered.cases[SHOWN].marks["charity"].pop()


def with_a_case_more(kept: Kept) -> None:
    kept.state.delivered.cases[key("no case")] = kept.state.delivered.cases[SHOWN]


def with_a_checkpoint_seen_that_was_none(kept: Kept) -> None:
    seen = cast("dict[bytes, int]", kept.state.newest_seen)
    seen[next(iter(seen))] += 1


def with_a_stranger_who_has_seen(kept: Kept) -> None:
    seen = cast("dict[bytes, int]", kept.state.newest_seen)
    seen[key("stranger")] = next(iter(seen.values()))


@pytest.mark.parametrize(
    "change",
    [
        with_a_checkpoint_seen_that_was_none,
        with_a_stranger_who_has_seen,
        with_another_head,
        with_a_head_more,
        with_a_longer_feed,
        with_another_feed,
        with_disclosures_more,
        with_a_mark_of_none,
        with_half_a_mark,
        with_a_case_more,
    ],
)
def test_what_the_map_does_not_have_is_not_taken_up(change: Any) -> None:
    found = decode(DATA)
    change(found)
    with pytest.raises(Malformed, match=r"^STATE: .* damaged: "):
        decode(encode(found, ORIGIN, TRUST))


def registered() -> Kept:
    log = Log()
    log.act("police", REGISTRY)
    log.act("police", REGISTRY)
    return decode(kept(after(log.close().leaves)))


@pytest.mark.parametrize(
    "facts",
    [
        lambda facts: facts[:1],
        lambda facts: facts[1:],
        lambda facts: [],
        lambda facts: facts[::-1],
        lambda facts: [facts[0], (facts[1][0], b"another body")],
        lambda facts: [facts[0], (facts[1][0], b"")],
        lambda facts: [facts[0], (b"no entry", b"")],
    ],
)
def test_the_registrys_stream_is_taken_up_whole_or_not_at_all(facts: Any) -> None:
    found = registered()
    with pytest.raises(Malformed, match=r"^STATE: .* damaged: "):
        decode(encode(found._replace(facts=facts(list(found.facts))), ORIGIN, TRUST))


def test_another_epoch_or_another_tree_gives_another_checkpoint() -> None:
    found = decode(DATA)
    forged = HeadMap()
    forged.set(stream_key(CASE), Head(1, bytes(32), 0))
    epoch = Epoch.decode(found.epoch)._replace(map_root=forged.root(), map_keys=1)
    nodes = (bytes(32), *found.covered.nodes[1:])
    for changed in (
        found._replace(epoch=epoch.encode()),
        found._replace(covered=found.covered._replace(nodes=nodes)),
    ):
        with pytest.raises(Malformed, match="of another tree than its checkpoint"):
            decode(encode(changed, ORIGIN, TRUST))


def test_the_page_of_formats_says_what_the_published_log_is_kept_as() -> None:
    page = (Path(__file__).parents[2] / "docs/formats.md").read_text("utf-8")
    section = page.split("\n## 22. ")[1]
    vector = load("trail")
    leaves = [(bytes.fromhex(e["entry"]), bytes.fromhex(e["body"])) for e in vector["entries"]]
    known = Known({f"gb-{name}": actor["label"] for name, actor in vector["actors"].items()})
    found = after(leaves, Replay(keys=known, notary=public("trail notary"))).kept
    assert found is not None
    data = encode(found, "hub.example/trail", key("trust.json"))
    assert f"nrm-replay@v{VERSION}\n" in section
    assert f": {len(data)} bytes, the last 32 of them `{data[-32:].hex()}`." in section
