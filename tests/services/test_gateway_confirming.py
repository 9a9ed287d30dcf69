"""A gateway confirms what its feeds brought it, each entry once, in a chain without gaps."""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import HubError, NotAuthentic, Unavailable
from domain.notary import Receipt, SignedStatement
from domain.trail.deliveries import leaves_of
from domain.trail.entry import Entry, read
from domain.trail.merkle import EMPTY_ROOT
from domain.trail.proof import Proof
from domain.trail.statement import (
    ZEROS,
    Kind,
    Statement,
    digest,
    disclosure_stream,
    reader_id,
    signed_bytes,
)
from services.gateway.deliveries import delivery_of
from services.notary import intake
from services.notary.intake import NONCE_SIZE
from services.notary.tree import Tree
from tests.builders import uid
from tests.services import notary_witnesses
from tests.services.gateway_trail import PURPOSE, Watched, disclosed, later_checkpoints
from tests.services.notary_world import SIGNING, T0, NotaryWorld, public, seed

SHELTER = "gb-shelter"
OPEN = "feed_entries_unproven", "confirmations_waiting"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[NotaryWorld]:
    made = NotaryWorld(tmp_path)
    yield made
    made.close()


@pytest.fixture
def shelter(world: NotaryWorld) -> Watched:
    return Watched(world, SHELTER)


def receipts_of(world: NotaryWorld) -> list[Entry]:
    """Return the RECEIPTs in the trail, in its order."""
    tree = Tree(world.files, world.store.newest().tree.size)
    found = [read(tree.entry(i)) for i in range(tree.size)]
    return [e for e in found if isinstance(e, Entry) and e.said.kind == Kind.RECEIPT]


async def test_a_receipt_of_each_case_stands_in_the_trail_and_a_replay_takes_it(
    world: NotaryWorld, shelter: Watched
) -> None:
    one = disclosed(world, SHELTER, 3)
    two = disclosed(world, SHELTER, 2, case="another case")
    shelter.took(*one, *two)
    world.published()
    assert await shelter.watching.step()
    world.published()

    assert len(receipts_of(world)) == 2
    confirmed = {leaf for signed in shelter.link.confirmed for leaf in leaves_of(signed.body)}
    assert confirmed == {delivery_of(SHELTER, PURPOSE, item).leaf for item, _ in [*one, *two]}
    seen = {e.said.seen_size for e in receipts_of(world)}
    assert seen == {shelter.checkpoints.seen()[0]}
    assert not list(world.replayed().findings)


async def test_what_is_confirmed_is_not_confirmed_again(
    world: NotaryWorld, shelter: Watched
) -> None:
    shelter.took(*disclosed(world, SHELTER, 2))
    world.published()
    for _ in range(3):
        await shelter.watching.step()
        world.published()
    shelter.took(*disclosed(world, SHELTER, 1))
    world.published()
    for _ in range(3):
        await shelter.watching.step()
    assert [len(leaves_of(s.body)) for s in shelter.link.confirmed] == [2, 1]


async def test_what_did_not_hold_or_is_not_proven_is_not_confirmed(
    world: NotaryWorld, shelter: Watched
) -> None:
    (item, case), (parked, _) = disclosed(world, SHELTER, 2)
    shelter.took((item, case), (parked, ""))
    world.published()
    shelter.took(*disclosed(world, SHELTER, 1))  # not published
    await shelter.watching.step()
    (signed,) = shelter.link.confirmed
    assert leaves_of(signed.body) == [delivery_of(SHELTER, PURPOSE, item).leaf]


async def test_a_receipt_is_kept_until_the_notary_has_it(
    world: NotaryWorld, shelter: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a trail that goes away between the proof and the sending."""
    shelter.took(*disclosed(world, SHELTER, 2))
    world.published()

    async def gone(_: SignedStatement) -> None:
        raise Unavailable("PEER_AWAY", "the trail did not answer; retry later")

    with monkeypatch.context() as patch:
        patch.setattr(shelter.link, "confirm", gone)
        await shelter.watching.step()
    assert shelter.trail.counts()["confirmations_waiting"] == 1
    assert shelter.watching.codes["sending"] == "PEER_AWAY"
    await shelter.watching.step()
    assert shelter.trail.counts()["confirmations_waiting"] == 1
    world.published()
    await shelter.watching.step()
    assert shelter.trail.counts()["confirmations_waiting"] == 0
    assert len(receipts_of(world)) == 1


def forget(world: NotaryWorld) -> None:
    """Let the notary lose what it took and did not enter yet."""
    with closing(sqlite3.connect(world.folder / "notary.db")) as db, db:
        db.execute("DELETE FROM intake WHERE number > ?", (world.store.newest().sources.intake,))


async def lost(
    world: NotaryWorld, shelter: Watched, monkeypatch: pytest.MonkeyPatch
) -> list[SignedStatement]:
    """Have one RECEIPT stand in the trail, and two taken and lost; return all three."""
    for names in (["case"], ["second case", "third case"]):
        for name in names:
            shelter.took(*disclosed(world, SHELTER, 1, case=name))
        world.published()
        await shelter.watching.step()
    forget(world)
    for _ in later_checkpoints(world, monkeypatch):
        assert len(shelter.link.confirmed) == 3
        await shelter.watching.step()
    return shelter.link.confirmed


async def test_what_a_notary_took_and_lost_is_sent_again(
    world: NotaryWorld, shelter: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a notary that forgets, when checkpoints go on without two RECEIPTs, it gets them."""
    confirmed = await lost(world, shelter, monkeypatch)
    assert confirmed[3:] == confirmed[1:3]
    world.published()
    await shelter.watching.step()
    assert [e.statement for e in receipts_of(world)] == [s.statement for s in confirmed[:3]]
    assert shelter.trail.counts()["confirmations_waiting"] == 0
    assert not list(world.replayed().findings)


async def test_what_was_lost_for_so_long_that_it_is_too_old_is_signed_anew(
    world: NotaryWorld, shelter: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(intake, "FRESH_MS", 60_000)
        await lost(world, shelter, patch)
        await shelter.watching.step()
    world.published()
    await shelter.watching.step()
    assert [e.said.actor_seq for e in receipts_of(world)] == [0, 1, 2]
    assert shelter.trail.counts()["confirmations_waiting"] == 0
    assert len({e.said.fields for e in receipts_of(world)}) == 3, "each delivery, once"
    assert not list(world.replayed().findings)


async def test_while_no_checkpoint_comes_nothing_is_sent_again(
    world: NotaryWorld, shelter: Watched
) -> None:
    """Given a notary without a quorum for hours, it has what it took."""
    shelter.took(*disclosed(world, SHELTER))
    world.published()
    for _ in range(20):
        await shelter.watching.step()
        world.now += 600_000
    assert len(shelter.link.confirmed) == 1
    assert shelter.trail.counts()["confirmations_waiting"] == 1


async def test_what_the_notary_has_already_is_taken_once_however_late_it_comes_again(
    world: NotaryWorld, shelter: Watched
) -> None:
    for name in ("case", "second case"):
        shelter.took(*disclosed(world, SHELTER, 1, case=name))
        world.published()
        await shelter.watching.step()
    shelter.trail.unsent()
    world.now += 7_200_000
    await shelter.watching.step()
    world.published()
    await shelter.watching.step()
    assert len(receipts_of(world)) == 2
    assert shelter.trail.counts()["confirmations_waiting"] == 0


async def test_an_answer_that_was_lost_does_not_make_a_second_receipt(
    world: NotaryWorld, shelter: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelter.took(*disclosed(world, SHELTER, 2))
    world.published()
    whole = shelter.link.confirm

    async def unheard(signed: SignedStatement) -> None:
        await whole(signed)
        raise Unavailable("PEER_AWAY", "the answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(shelter.link, "confirm", unheard)
        await shelter.watching.step()
    await shelter.watching.step()
    world.published()
    assert len(receipts_of(world)) == 1
    assert not list(world.replayed().findings)


async def test_another_tool_in_the_chain_makes_the_gateway_sign_behind_it(
    world: NotaryWorld, shelter: Watched
) -> None:
    """Given a gateway whose store was lost: its chain stands in the trail already."""
    shelter.took(*disclosed(world, SHELTER, 2))
    world.published()
    await shelter.watching.step()
    world.published()

    anew = Watched(world, SHELTER)
    served = disclosed(world, SHELTER, 1, case="another case")
    anew.took(*served)
    world.published()
    for _ in range(3):
        await anew.watching.step()
        world.published()
    assert [e.said.actor_seq for e in receipts_of(world)] == [0, 1]
    assert anew.trail.counts()["confirmations_waiting"] == 0
    assert not list(world.replayed().findings)


async def test_what_was_taken_is_not_signed_anew_behind_another_tool(
    world: NotaryWorld, shelter: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a RECEIPT in the intake, when another tool goes on from it, the next one is behind."""
    shelter.took(*disclosed(world, SHELTER))
    world.published()
    await shelter.watching.step()
    (first,) = shelter.link.confirmed
    asked = challenge(first)
    world.intake.take(Kind.AUDIT, asked, SHELTER)
    world.sequenced()

    shelter.took(*disclosed(world, SHELTER, 1, case="second case"))
    with monkeypatch.context() as patch:
        patch.setattr(world.sequencer, "step", lambda: False)
        world.published()
    for _ in range(4):
        await shelter.watching.step()
        world.published()
    assert [e.said.actor_seq for e in receipts_of(world)] == [0, 2]
    confirmed = [leaf for s in shelter.link.confirmed for leaf in leaves_of(s.body)]
    assert len(confirmed) == len(set(confirmed)) == 2
    assert not list(world.replayed().findings)


def challenge(after: SignedStatement | None) -> SignedStatement:
    """Return a challenge by the same reader, which is next in its chain."""
    before = Statement.decode(after.statement) if after else None
    nonce = bytes(NONCE_SIZE)
    statement = Statement(
        kind=Kind.AUDIT,
        type=0,
        stream=disclosure_stream(uid("case")),
        after=ZEROS,
        actor=reader_id(public(SHELTER)),
        actor_seq=before.actor_seq + 1 if before else 0,
        actor_prev=digest(after.statement) if after else ZEROS,
        actor_time_ms=before.actor_time_ms if before else T0,
        schema=ZEROS,
        field_count=0,
        fields=EMPTY_ROOT,
        payload=sha256(nonce).digest(),
        seen_size=before.seen_size if before else 0,
        seen_root=before.seen_root if before else EMPTY_ROOT,
    ).encode()
    signature = SIGNING.sign(seed(SHELTER), signed_bytes(statement))
    return SignedStatement(statement=statement, signature=signature, body=nonce)


class Disturbed:
    """A shelter whose notary forgets, whose other tool posts, and whose time passes."""

    def __init__(self, folder: Path) -> None:
        self.world = NotaryWorld(folder)
        self.shelter = Watched(self.world, SHELTER)
        self.taken: list[bytes] = []
        self.does: dict[str, Callable[[], None]] = {
            "delivers": self.deliver,
            "publishes": self.world.published,
            "forgets": lambda: forget(self.world),
            "posts": self.post,
            "hour": lambda: self.wait(3_660),
        }

    def deliver(self) -> None:
        served = disclosed(self.world, SHELTER, 1, case=("case", "other")[len(self.taken) % 2])
        self.taken += [delivery_of(SHELTER, PURPOSE, item).leaf for item, _ in served]
        self.shelter.took(*served)

    def post(self) -> None:
        newest = self.world.store.posted(reader_id(public(SHELTER)))
        after = newest and SignedStatement(statement=newest.statement, signature=b"", body=b"")
        with suppress(HubError):  # as long as the trail has no such case
            self.world.intake.take(Kind.AUDIT, challenge(after), SHELTER)

    def wait(self, seconds: int) -> None:
        self.world.now += 1_000 * seconds
        self.world.acting.now = self.world.now
        notary_witnesses.AT_S += seconds

    async def settle(self) -> None:
        """Let checkpoints come, minute by minute, until nothing waits any more."""
        trail, rounds = self.shelter.trail, 0
        while trail.unconfirmed(1) or any(trail.counts()[name] for name in OPEN):
            self.wait(60)
            self.world.published()
            await self.shelter.watching.step()
            rounds += 1
            assert rounds < 60, trail.counts()

    def confirmed(self) -> list[bytes]:
        """Return the leaves of all RECEIPTs in the trail."""
        bodies = {signed.statement: signed.body for signed in self.shelter.link.confirmed}
        return [leaf for e in receipts_of(self.world) for leaf in leaves_of(bodies[e.statement])]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.sampled_from(["delivers", "publishes", "steps", "forgets", "posts", "hour"])),
)
async def test_whatever_happens_each_delivery_is_confirmed_once(rounds: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(notary_witnesses, "AT_S", notary_witnesses.AT_S)
        disturbed = Disturbed(Path(folder))
        for what in ["delivers", "publishes", *rounds]:
            if what == "steps":
                await disturbed.shelter.watching.step()
            else:
                disturbed.does[what]()
        await disturbed.settle()
        assert sorted(disturbed.confirmed()) == sorted(disturbed.taken)
        assert disturbed.shelter.alarms() == []
        assert not list(disturbed.world.replayed().findings)
        disturbed.world.close()


async def test_what_the_replaced_key_has_signed_is_signed_by_the_new_one(
    world: NotaryWorld, shelter: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given RECEIPTs that were not sent when the agency's key was replaced."""
    shelter.took(*disclosed(world, SHELTER, 1, case="case"))
    world.published()
    await shelter.watching.step()
    world.published()
    shelter.link.away = True
    shelter.took(*disclosed(world, SHELTER, 1, case="second case"))
    shelter.link.away = False
    world.published()

    taken: list[Statement] = []
    new = reader_id(public("gb-authority"))

    async def takes(signed: SignedStatement) -> None:
        said = Statement.decode(signed.statement)
        if said.actor != new:
            raise NotAuthentic("READER_KEY", "sign with the agency's key in force, as its reader")
        taken.append(said)

    monkeypatch.setattr(shelter.link, "confirm", takes)
    await shelter.watching.step()
    assert shelter.trail.counts()["confirmations_waiting"] == 1
    shelter.sign_with("gb-authority")
    await shelter.watching.step()
    await shelter.watching.step()
    assert [(said.actor_seq, said.actor_prev) for said in taken] == [(0, ZEROS)]


async def test_a_proof_of_something_else_does_not_let_go_of_a_receipt(
    world: NotaryWorld, shelter: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a notary that shows another entry of the log as the RECEIPT."""
    shelter.took(*disclosed(world, SHELTER))
    world.published()
    await shelter.watching.step()
    action = Entry.decode(Tree(world.files, world.store.newest().tree.size).entry(0))
    shown = world.proofs.receipt(action.said.stream, digest(action.statement))

    async def other(_stream: bytes, _digest: bytes) -> object:
        return shown

    monkeypatch.setattr(shelter.link, "receipt", other)
    world.published()
    await shelter.watching.step()
    assert shelter.watching.codes["proving"] == "RECEIPT_DIFFERS"
    assert shelter.trail.counts()["confirmations_waiting"] == 1


async def test_a_receipt_that_is_shown_and_not_proven_is_kept(
    world: NotaryWorld, shelter: Watched
) -> None:
    shelter.took(*disclosed(world, SHELTER))
    world.published()
    await shelter.watching.step()
    world.published()

    def elsewhere(receipt: Receipt) -> Receipt:
        proof = Proof.decode(receipt.proof.encode())
        return replace(receipt, proof=replace(proof, index=proof.index - 1).encode().decode())

    shelter.link.receipts_changed = elsewhere
    await shelter.watching.step()
    assert shelter.watching.codes["proving"] == "BAD_INCLUSION"
    assert shelter.trail.counts()["confirmations_waiting"] == 1


async def test_only_the_pinned_notary_s_disclosure_is_answered(
    world: NotaryWorld, shelter: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a hub that shows another entry of the log as the DISCLOSURE."""
    shelter.took(*disclosed(world, SHELTER, 1))
    world.published()
    tree = Tree(world.files, world.store.newest().tree.size)
    action = Entry.decode(tree.entry(0))
    assert action.said.kind == Kind.ACTION
    shown = world.proofs.receipt(action.said.stream, digest(action.statement))

    async def other(_stream: bytes, _leaf: bytes) -> object:
        return shown

    monkeypatch.setattr(shelter.link, "disclosed", other)
    await shelter.watching.step()
    assert shelter.watching.codes["confirming"] == "DISCLOSURE"
    assert shelter.trail.counts()["confirmations_waiting"] == 0
