"""Replay: a log that follows the rules passes, and each way to break them is found and named.

The dishonest notary of these tests makes its own parts fit: EPOCHs over the doctored entries,
and where it says so also their places in the streams. It cannot sign for an actor.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed, Refused
from domain.standing import Period
from domain.trail import admission
from domain.trail import replay as replay_module
from domain.trail.admission import CLOCK_AHEAD_MS, WAIT_MS
from domain.trail.deliveries import disclosure_body
from domain.trail.entry import read
from domain.trail.heads import Head, actor_key, feed_key, stream_key
from domain.trail.merkle import leaf, root
from domain.trail.replay import MOST_FINDINGS
from domain.trail.state import Item
from domain.trail.statement import Kind, actor_id, digest, reader_id
from tests.domain.logs import (
    CASE,
    OTHER,
    SHOWN,
    SIGNING,
    T0,
    Known,
    Leaf,
    Log,
    delivery,
    example,
    found,
    passes,
    public,
    rebuilt,
    replayed,
)
from tests.vectors import key, load

LOG = example()
LEAVES = LOG.leaves
EPOCHS = [i for i, (data, _) in enumerate(LEAVES) if data[1] == Kind.EPOCH]
SIGNED = [i for i in range(len(LEAVES)) if i not in EPOCHS]


def test_a_log_that_follows_the_rules_passes() -> None:
    replay, claims = replayed(LEAVES, follow=[CASE, OTHER])
    assert replay.findings == []
    assert len(claims) == len(SIGNED)
    assert all(SIGNING.verify_all(claims))
    assert replay.followed == {CASE: [0, 2, 3], OTHER: [1, 7]}
    assert replay.state.range.root == root([leaf(data) for data, _ in LEAVES])
    assert replay.state.checkpoint(5) == root([leaf(data) for data, _ in LEAVES[:5]])


def test_the_map_of_a_log_says_how_far_everything_has_come() -> None:
    replay, _ = replayed(LEAVES)
    heads = replay.state.heads
    last = leaf(LEAVES[3][0])
    listed = [delivery(1).leaf, delivery(2).leaf, delivery(3, supersedes=1).leaf]
    assert heads.get(stream_key(CASE)) == Head(3, last, 3)
    assert heads.get(actor_key(actor_id(public("charity")))) == Head(
        3, digest(LEAVES[3][0][:286]), 3
    )
    assert heads.get(feed_key("charity", "protection_support", 3)) == Head(3, root(listed), 6)
    assert heads.get(feed_key("police", "protection_support", 3)) == Head(
        1, root([delivery(1, agency="police").leaf]), 6
    )


def test_the_published_log_passes() -> None:
    vector = load("trail")
    leaves = [(bytes.fromhex(e["entry"]), bytes.fromhex(e["body"])) for e in vector["entries"]]
    labels = {f"gb-{name}": a["label"] for name, a in vector["actors"].items()}
    known = Known(labels)
    replay, claims = replayed(leaves, keys=known, notary=public("trail notary"))
    assert replay.findings == []
    assert all(SIGNING.verify_all(claims))
    assert replay.state.range.root.hex() == vector["root"]
    assert replay.state.heads.root().hex() == vector["map_root"]
    feed = replay.state.heads.get(bytes.fromhex(vector["feed"]["key"]))
    assert feed == Head(2, bytes.fromhex(vector["feed"]["root"]), vector["feed"]["index"])


def doctored(at: int, **changes: Any) -> list[Leaf]:
    """Return the example with something else in an EPOCH, and nothing made to fit."""
    data, body = LEAVES[at]
    return [*LEAVES[:at], (read(data)._replace(**changes).encode(), body), *LEAVES[at + 1 :]]


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"map_root": key("forged")}, "MAP"),
        ({"map_keys": 99}, "MAP"),
        ({"covered": 7}, "EPOCH"),
        ({"recorded_ms": 5}, "EPOCH"),
    ],
)
def test_a_forged_epoch_is_found_alone(changes: dict[str, Any], check: str) -> None:
    assert (EPOCHS[1], check) in found(doctored(EPOCHS[1], **changes))
    last = EPOCHS[-1]
    assert found(doctored(last, **changes)) == {(last, check)}


def test_a_second_entry_with_the_number_of_another_is_found() -> None:
    log = example()
    log.act("charity", stream_seq=1, stream_prev=leaf(LEAVES[0][0]))
    assert found(log.close().leaves) == {(len(LEAVES), "STREAM_CHAIN")}


def test_an_entry_dropped_in_the_middle_is_found() -> None:
    fewer = [*LEAVES[:2], *LEAVES[3:]]
    assert found(rebuilt(fewer)) >= {(2, "STREAM_CHAIN"), (2, "ACTOR_CHAIN")}


def test_an_entry_dropped_and_the_stream_renumbered_is_found_by_its_actor() -> None:
    log = example()
    log.act("charity")
    fewer = [*log.close().leaves]
    del fewer[3]
    assert found(rebuilt(fewer, renumber=True)) >= {(11, "ACTOR_CHAIN")}


def test_swapped_entries_are_found() -> None:
    swapped = [*LEAVES[:2], LEAVES[3], LEAVES[2], *LEAVES[4:]]
    assert found(rebuilt(swapped)) >= {(2, "STREAM_CHAIN"), (2, "ACTOR_CHAIN")}
    assert found(rebuilt(swapped, renumber=True)) >= {(2, "ACTOR_CHAIN"), (3, "ACTOR_CHAIN")}


def test_a_reused_number_of_an_actor_is_found() -> None:
    log = example()
    log.act("police", actor_seq=1, actor_prev=digest(LEAVES[0][0][:286]))
    assert found(log.close().leaves) == {(len(LEAVES), "ACTOR_CHAIN")}


def test_a_statement_entered_twice_is_found() -> None:
    again = [*LEAVES, LEAVES[7], LEAVES[-1]]
    checks = {(len(LEAVES), "ACTOR_CHAIN"), (len(LEAVES), "BACKDATED")}
    assert found(rebuilt(again, renumber=True)) == checks


def test_a_refused_action_counts_in_the_chain_of_its_actor() -> None:
    fewer = [leaf for i, leaf in enumerate(LEAVES) if i != 2]
    assert (2, "ACTOR_CHAIN") in found(rebuilt(fewer, renumber=True))


def test_the_newest_entry_dropped_leaves_an_honest_shorter_log() -> None:
    """Only a witness, a receipt or a root that somebody has seen tells of it."""
    assert passes(rebuilt([*LEAVES[:-2], LEAVES[-1]]))


@pytest.mark.parametrize(
    "seen",
    [
        (5, key("root of a fork")),
        (4, root([leaf(data) for data, _ in LEAVES[:4]])),
        (99, bytes(32)),
    ],
    ids=["of a fork", "of no checkpoint", "of the future"],
)
def test_a_root_that_no_checkpoint_of_this_log_had_is_found(seen: tuple[int, bytes]) -> None:
    log = example()
    log.act(seen_size=seen[0], seen_root=seen[1])
    log.act(code="CONSENT_MISSING", seen_size=seen[0], seen_root=seen[1])
    checks = {(len(LEAVES), "SEEN"), (len(LEAVES) + 1, "SEEN")}
    assert found(log.close().leaves) == checks  # a refusal does not hide what was seen


def test_an_actor_does_not_forget_what_it_has_seen() -> None:
    log = example()
    log.act("police")
    log.seen = (0, log.state.checkpoint(0) or b"")
    log.act("police")
    assert found(log.close().leaves) == {(len(LEAVES) + 1, "SEEN")}


def test_a_backdated_entry_is_found() -> None:
    log = example()
    log.act(recorded_ms=read(LEAVES[-2][0]).recorded_ms - 1)
    assert found(log.close().leaves) == {(len(LEAVES), "BACKDATED")}


def test_what_nobody_can_have_seen_is_not_held_against_the_actor_later() -> None:
    log = example()
    log.act(seen_size=2**64 - 1, seen_root=key("root of a fork"))
    log.act()
    assert found(log.close().leaves) == {(len(LEAVES), "SEEN")}


def test_an_action_that_was_accepted_before_it_was_signed_is_backdated() -> None:
    """The hub refuses a clock that runs ahead, so an honest one has none such."""
    log = example()
    at = T0 + 1000 * log.state.size
    log.act(actor_time_ms=at + CLOCK_AHEAD_MS + 1)
    log.act(actor_time_ms=at + CLOCK_AHEAD_MS)
    log.act(actor_time_ms=at + 2 * CLOCK_AHEAD_MS, code="CLOCK_AHEAD")
    assert found(log.close().leaves) == {(len(LEAVES), "BACKDATED")}


def test_a_flipped_payload_is_found_and_so_is_a_missing_body() -> None:
    at = 3
    for body in (b"another body", b""):
        assert found([*LEAVES[:at], (LEAVES[at][0], body), *LEAVES[at + 1 :]]) == {(at, "BODY")}


def test_a_refused_action_and_an_epoch_have_no_body() -> None:
    for at in (2, EPOCHS[0]):
        kept = [*LEAVES[:at], (LEAVES[at][0], b"body"), *LEAVES[at + 1 :]]
        assert found(kept) == {(at, "BODY")}


def test_actions_are_replayed_without_bodies_and_disclosures_are_not() -> None:
    bare = [(data, None if data[1] == Kind.ACTION else body) for data, body in LEAVES]
    assert replayed(bare)[0].findings == []  # type: ignore[arg-type] # a body that is not at hand
    without = [(data, None) for data, _ in LEAVES]
    replay, _ = replayed(without)  # type: ignore[arg-type] # a body that is not at hand
    assert {f.check for f in replay.findings} >= {"BODY", "DISCLOSURE", "RECEIPT"}
    assert not replay.map_known


def test_a_delivery_that_is_added_to_a_disclosure_is_found() -> None:
    log = Log().close()
    listed = [delivery(1)]
    shown = log.disclose(*listed, kept=disclosure_body([*listed, delivery(2)]))
    assert shown
    assert (1, "BODY") in found(log.close().leaves)


def test_a_disclosure_signed_over_other_deliveries_than_it_lists_is_found() -> None:
    log = Log().close()
    log.disclose(delivery(1), delivery(2), field_count=1, fields=root([delivery(1).leaf]))
    assert found(log.close().leaves) == {(1, "DISCLOSURE")}


def test_a_delivery_that_is_withheld_leaves_a_gap() -> None:
    log = Log().close()
    log.disclose(delivery(1), delivery(3))
    assert found(log.close().leaves) == {(2, "FEED")}


def test_a_delivery_that_is_told_twice_is_found() -> None:
    log = Log().close()
    log.disclose(delivery(1), delivery(3))
    log.disclose(delivery(2), delivery(3), stream=OTHER)
    log.disclose(delivery(1, basis="P01"))
    assert found(log.close().leaves) == {(2, "FEED"), (3, "FEED")}


@pytest.mark.parametrize(
    ("changes", "checks"),
    [
        ({"who": "police"}, {"ACTOR_KIND"}),
        ({"type": 1}, {"DISCLOSURE"}),
        ({"after": key("event")}, {"DISCLOSURE"}),
        ({"schema": key("schema")}, {"DISCLOSURE"}),
        ({"code": "NO"}, {"DISCLOSURE"}),
    ],
)
def test_a_disclosure_is_the_notarys_and_a_list_of_deliveries(
    changes: dict[str, Any], checks: set[str]
) -> None:
    log = Log().close()
    log.disclose(delivery(1), **changes)
    assert {check for index, check in found(log.close().leaves) if index == 1} == checks


def test_after_a_disclosure_that_cannot_be_read_no_map_is_known() -> None:
    log = Log().close()
    log.put("notary", Kind.DISCLOSURE, SHOWN, b"no list", schema=key("schema"))
    replay, _ = replayed(log.close(map_root=key("forged")).leaves)
    assert not replay.map_known
    assert {(f.index, f.check) for f in replay.findings} == {(1, "DISCLOSURE")}


def receipts() -> tuple[Log, bytes, bytes]:
    log = Log().close()
    first = log.disclose(delivery(1), delivery(1, agency="police"))
    return log, first, log.disclose(delivery(2))


def test_a_receipt_confirms_what_its_agency_was_given() -> None:
    log, first, second = receipts()
    log.receive(first, delivery(1))
    log.receive(second, delivery(1), delivery(2))
    log.receive(first, delivery(1, agency="police"), who="police")
    assert found(log.close().leaves) == set()


Receiving = Callable[[Log, bytes, bytes], bytes]


@pytest.mark.parametrize(
    "receive",
    [
        lambda log, _, second: log.receive(second, delivery(1)),
        lambda log, first, _: log.receive(first, delivery(1), delivery(2)),
        lambda log, first, _: log.receive(first, delivery(1), who="police"),
        lambda log, first, _: log.receive(first, delivery(1), stream=OTHER),
        lambda log, first, _: log.receive(first, delivery(7)),
        lambda log, _, __: log.receive(bytes(32), delivery(1)),
        lambda log, first, _: log.receive(first, delivery(1), schema=key("schema")),
        lambda log, first, _: log.receive(first, delivery(1), field_count=2),
        lambda log, first, _: log.receive(first, delivery(1), fields=key("root")),
    ],
)
def test_a_receipt_that_answers_nothing_is_found(receive: Receiving) -> None:
    log, first, second = receipts()
    receive(log, first, second)
    assert found(log.close().leaves) == {(3, "RECEIPT")}


@pytest.mark.parametrize(
    "changes", [{"nonce": bytes(31)}, {"field_count": 1}, {"fields": bytes(32)}]
)
def test_a_challenge_is_a_nonce_and_no_more(changes: dict[str, Any]) -> None:
    log = Log().close()
    log.challenge(**changes)
    assert found(log.close().leaves) == {(1, "AUDIT")}


def test_reading_and_acting_are_chains_of_their_own() -> None:
    log = Log().close()
    log.act(actor=key("nobody"))
    log.put("charity", Kind.ACTION, CASE, b"body", actor=reader_id(public("charity")))
    log.challenge(actor=actor_id(public("police")))
    log.act("notary")
    checks = found(log.close().leaves)
    assert checks == {(1, "ACTOR_UNKNOWN"), *((i, "ACTOR_KIND") for i in (2, 3, 4))}


def test_nothing_is_accepted_under_a_key_that_is_not_in_force() -> None:
    known = Known(period=Period(starts=0, ends=read(LEAVES[2][0]).recorded_ms))
    early = rebuilt([*LEAVES[:3], LEAVES[-1]])
    assert found(early, keys=known) == set()
    assert found(rebuilt([*LEAVES[:4], LEAVES[-1]]), keys=known) == {(3, "KEY_NOT_IN_FORCE")}


@pytest.mark.parametrize("kind", [Kind.RECEIPT, Kind.AUDIT])
def test_what_a_reader_signed_counts_when_it_was_signed(kind: Kind) -> None:
    """The log's time may be that of hours before, or of after the key was replaced."""
    log = Log().close()
    shown = log.disclose(delivery(1))
    ends = T0 + 500  # before the log's newest time
    for signed in (ends - 1, ends):
        if kind == Kind.RECEIPT:
            log.receive(shown, delivery(1), actor_time_ms=signed)
        else:
            log.challenge(actor_time_ms=signed)
    log.close()
    ended = Known(period=Period(starts=0, ends=ends))
    assert found(log.leaves, keys=ended) == {(3, "KEY_NOT_IN_FORCE")}
    begun = Known(period=Period(starts=ends))
    assert found(log.leaves, keys=begun) == {(2, "KEY_NOT_IN_FORCE")}


def test_what_a_reader_signed_comes_into_the_log_within_a_day() -> None:
    """Else a key could sign for ever after it was replaced, with a time before."""
    log = Log().close()
    shown = log.disclose(delivery(1))
    for waited in (WAIT_MS, WAIT_MS + 1):
        signed = T0 + 1000 * log.state.size - waited
        log.receive(shown, delivery(1), actor_time_ms=signed)
        log.challenge(actor_time_ms=signed + 1000)
    assert found(log.close().leaves) == {(n, "KEY_NOT_IN_FORCE") for n in (4, 5)}


def test_a_replay_learns_from_accepted_actions_alone() -> None:
    known = Known()
    replayed(LEAVES, keys=known)
    assert known.learned == [digest(LEAVES[i][0][:286]) for i in (0, 1, 3, 7)]


def test_a_registry_fact_that_does_not_hold_is_a_finding() -> None:
    class Strict(Known):
        def learn(self, item: Item) -> None:
            raise Refused("KEY_TAKEN", "a signing key is used once")

    assert found(rebuilt(LEAVES[:1]), keys=Strict()) == {(0, "KEY_TAKEN"), (0, "EPOCH")}


def test_a_leaf_that_is_none_is_found_and_the_tree_goes_on() -> None:
    broken = [*LEAVES[:3], (b"no entry", b""), *LEAVES[4:]]
    replay, _ = replayed(broken)
    assert (3, "ENTRY") in {(f.index, f.check) for f in replay.findings}
    assert replay.state.range.root == root([leaf(data) for data, _ in broken])
    assert not replay.map_known


def test_numbers_at_the_end_of_their_range_are_found_like_any_other() -> None:
    log = Log().close()
    log.act(actor_seq=2**64 - 1, stream_seq=2**64 - 1, recorded_ms=2**64 - 1)
    log.act()
    checks = {check for _, check in found(log.close().leaves)}
    assert checks == {"STREAM_CHAIN", "ACTOR_CHAIN", "BACKDATED"}


def test_a_log_ends_with_an_epoch() -> None:
    assert found(LEAVES[:-1]) == {(len(LEAVES) - 2, "EPOCH")}


def test_a_log_that_is_all_wrong_fills_no_memory() -> None:
    """One DISCLOSURE opens a gap in each of many feeds, and every EPOCH would tell of each."""
    log = Log().close()
    log.disclose(*(delivery(2, agency=f"a{n}") for n in range(MOST_FINDINGS + 1)))
    replay, _ = replayed(log.close().close().leaves)
    assert len(replay.findings) == MOST_FINDINGS
    assert {(f.index, f.check) for f in replay.findings} == {(2, "FEED")}


def test_what_one_actor_says_against_the_log_hides_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay_module, "MOST_FINDINGS", 2)
    log = example()
    for _ in range(3):
        log.act(seen_root=key("root of a fork"))
    log.act(actor_seq=0)
    replay, _ = replayed(log.close().leaves)
    assert [f.check for f in replay.alarms] == ["SEEN", "SEEN"]
    assert [f.check for f in replay.findings] == ["ACTOR_CHAIN"]


@given(st.data())
def test_no_byte_of_any_leaf_or_body_can_change(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(LEAVES) - 1))
    parts = list(LEAVES[at])
    which = data.draw(st.sampled_from([i for i in (0, 1) if parts[i]]))
    changed = bytearray(parts[which])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    parts[which] = bytes(changed)
    assert found([*LEAVES[:at], (parts[0], parts[1]), *LEAVES[at + 1 :]])


@given(st.data())
def test_no_leaf_can_be_dropped_doubled_or_moved(data: st.DataObject) -> None:
    places = st.integers(0, len(LEAVES) - 1)
    one, other = data.draw(places), data.draw(places)
    moved = list(LEAVES)
    taken = moved.pop(one)
    doubled = [*LEAVES[:other], LEAVES[one], *LEAVES[other:]]
    assert found(moved)
    assert found(doubled)
    if one != other:
        moved.insert(other, taken)
        assert found(moved)


@given(st.sampled_from(SIGNED), st.integers(0, 285 + 64), st.integers(1, 255))
def test_nothing_that_was_signed_can_change_whatever_is_rebuilt(
    at: int, byte: int, flip: int
) -> None:
    """The notary makes all that is its own fit; what remains is the actor's hand."""
    data, body = LEAVES[at]
    changed = bytearray(data)
    changed[byte if byte < 286 else byte + 51] ^= flip
    entry = bytes(changed)
    leaves = [*LEAVES[:at], (entry, body), *LEAVES[at + 1 :]]
    with suppress(Malformed):
        leaves = rebuilt(leaves, renumber=True)
    assert not passes(leaves)


def test_the_page_of_formats_shows_the_published_log() -> None:
    page = (Path(__file__).parents[2] / "docs/formats.md").read_text("utf-8")
    example, rest = page.split("\n## 14. ")[1].split("\n## 15. ")
    checks = rest.split("\n## 16. ")[0]
    vector = load("trail")
    delivered = vector["disclosure"]["deliveries"][0]
    shown = [e["leaf"] for e in vector["entries"]]
    shown += [vector["entries"][8]["entry"], vector["root"], vector["map_root"]]
    shown += [delivered["encoded"], delivered["leaf"], vector["feed"]["root"]]
    assert re.findall(r"\b[0-9a-f]{64,}\b", example) == shown
    source = "".join(Path(m.__file__ or "").read_text("utf-8") for m in (admission, replay_module))
    named = {code for row in re.findall(r"(?m)^\| (`.*?) \|", checks) for code in row.split(", ")}
    assert {f"`{code}`" for code in re.findall(r'"([A-Z][A-Z_]+)"', source)} == named
