"""A challenge comes back under a new checkpoint, or the auditor says what does not hold."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from adapters.notes import NoteVerifier
from domain.errors import Conflict, Malformed, NotAuthentic, Unavailable
from domain.notary import HeadProof, Receipt, SignedStatement
from domain.trail.checkpoint import Checkpoint, sign
from domain.trail.entry import Entry
from domain.trail.heads import stream_key
from domain.trail.notes import Note
from domain.trail.statement import Kind, digest, disclosure_stream, stream_tag
from services.auditor.challenge import Challenger, challenge
from services.auditor.report import Report
from services.notary.tree import Tree
from tests.agencies import sha
from tests.builders import uid
from tests.services.notary_witnesses import AT_S, LOG, DeadWitness, GoodWitness
from tests.services.notary_world import SIGNING, NotaryWorld, public, seed

AUDITOR, CASE = "gb-authority", uid("case")
STREAM = disclosure_stream(CASE)
LONG = 60.0
"""Seconds, far above what a challenge here takes."""


class Link:
    """The way to a notary in the same process; with each question it makes a round."""

    def __init__(self, world: NotaryWorld, agency: str = AUDITOR) -> None:
        self.world = world
        self.agency = agency
        self.publishes = True

    async def file(self, path: str) -> bytes | None:
        return self.world.files.read(path)

    async def head(self, key: bytes) -> HeadProof:
        return self.world.proofs.head(key)

    async def challenge(self, signed: SignedStatement) -> None:
        self.world.intake.take(Kind.AUDIT, signed, self.agency)

    async def receipt(self, stream: bytes, statement_digest: bytes) -> Receipt:
        if self.publishes:
            self.world.published()
        return self.world.proofs.receipt(stream, statement_digest)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[NotaryWorld]:
    """A notary whose trail has two actions in the case."""
    with closing(NotaryWorld(tmp_path)) as world:
        world.acting.record(world.acting.event(), world.acting.event("gb-shelter"))
        world.published()
        yield world


async def asked(
    link: Link,
    agency: str = AUDITOR,
    *,
    nonce: str = "nonce",
    case_id: str = CASE,
    seconds: float = LONG,
    policy: bytes | None = b"",
) -> Report:
    challenger = Challenger(
        public_key=public(agency),
        sign=lambda message: SIGNING.sign(seed(agency), message),
        verifying=NoteVerifier(),
        clock=link.world.clock,
        policy=policy_of(link.world) if policy == b"" else policy,
        seconds=seconds,
    )
    return await challenge(link, challenger, case_id, sha(nonce))


def checks(report: Report) -> set[str]:
    return {finding.check for finding in report.findings}


def policy_of(world: NotaryWorld) -> bytes:
    """Return an auditor's own policy: all witnesses of this notary."""
    keys = [w.key for w in world.witnesses]
    lines = [f"log {LOG.key.text}", *(f"witness {k.name} {k.text}" for k in keys)]
    group = f"group all-of-them all {' '.join(k.name for k in keys)}"
    return "\n".join([*lines, group, "quorum all-of-them", ""]).encode()


async def test_a_challenge_comes_back_as_the_newest_entry(world: NotaryWorld) -> None:
    report = await asked(Link(world))
    assert report.findings == []
    assert report.complete_as_of_s == AT_S
    assert "counts 2 entries of the trail and 1 of its disclosures" in report.text()
    assert "the challenge is the last" in report.text()
    (index,) = world.proofs.indexes(STREAM)
    entry = Entry.decode(Tree(world.files, index + 2).entry(index))
    assert (entry.said.kind, entry.said.payload) == (Kind.AUDIT, sha256(sha("nonce")).digest())
    assert world.replayed().findings == []


async def test_a_second_challenge_continues_the_readers_chain(world: NotaryWorld) -> None:
    for number in range(1, 4):
        report = await asked(Link(world), nonce=f"nonce {number}")
        assert f"{number} of its disclosures" in report.text()


async def test_a_challenge_waits_for_what_its_reader_posted_before(world: NotaryWorld) -> None:
    class Slow(Link):
        tries = 0

        async def challenge(self, signed: SignedStatement) -> None:
            self.tries += 1
            if self.tries == 1:
                self.world.intake.take(Kind.AUDIT, signed, self.agency)
                raise Conflict("READER_SEQ", "another tool of the agency was first")
            self.world.published()
            await super().challenge(signed)

    link = Slow(world)
    report = await asked(link)
    assert report.findings == []
    assert link.tries > 1


async def test_without_a_quorum_there_is_no_answer_but_a_finding(tmp_path: Path) -> None:
    with closing(NotaryWorld(tmp_path, [DeadWitness("dead"), GoodWitness("one")])) as world:
        world.acting.record(world.acting.event())
        world.sequenced()
        alone = sign(checkpoint_of(world), LOG, 0)
        world.files.publish(Note(checkpoint_of(world).text, (alone,)).encode())
        assert checks(await asked(Link(world))) == {"CHECKPOINT"}


def checkpoint_of(world: NotaryWorld) -> Checkpoint:
    tree = world.store.newest().tree
    return Checkpoint(LOG.key.name, tree.size, tree.root)


async def test_a_trail_that_never_answers_is_waited_for_no_longer_than_was_said(
    world: NotaryWorld,
) -> None:
    class Silent(Link):
        async def file(self, path: str) -> bytes | None:
            return await asyncio.Future()

    with pytest.raises(Unavailable, match="CHALLENGE_UNANSWERED"):
        await asked(Silent(world), seconds=0.01, policy=None)


async def test_a_checkpoint_that_does_not_come_is_said_and_can_be_asked_again(
    world: NotaryWorld,
) -> None:
    link = Link(world)
    link.publishes = False
    with pytest.raises(Unavailable, match="CHALLENGE_UNANSWERED"):
        await asked(link, seconds=0.3)


async def test_who_is_not_registered_is_refused(world: NotaryWorld) -> None:
    with pytest.raises(NotAuthentic, match="READER_KEY"):
        await asked(Link(world), agency="stranger")
    with pytest.raises(Malformed, match="CASE_ID"):
        await asked(Link(world), case_id="case")


class OfAnother(Link):
    """Shows the proof of an action in the place of the challenge."""

    async def receipt(self, stream: bytes, statement_digest: bytes) -> Receipt:
        await super().receipt(stream, statement_digest)
        first = digest(self.world.statements()[0])
        return self.world.proofs.receipt(stream_tag(CASE), first)


class Changed(Link):
    """Shows the challenge with another time."""

    async def receipt(self, stream: bytes, statement_digest: bytes) -> Receipt:
        found = await super().receipt(stream, statement_digest)
        entry = Entry.decode(found.entry)
        return replace(found, entry=entry._replace(recorded_ms=entry.recorded_ms + 1).encode())


class Old(Link):
    """Answers from the map as it was before the challenge."""

    def __init__(self, world: NotaryWorld) -> None:
        super().__init__(world)
        self._before = {
            k: world.proofs.head(k) for k in map(stream_key, (stream_tag(CASE), STREAM))
        }

    async def head(self, key: bytes) -> HeadProof:
        return self._before.get(key) or await super().head(key)


class OfAnotherKey(Link):
    """Answers about the head of another stream."""

    async def head(self, key: bytes) -> HeadProof:
        other = stream_key(stream_tag(CASE)) if key == stream_key(STREAM) else key
        return await super().head(other)


class Forged(Link):
    """Counts more in the map than stands there."""

    async def head(self, key: bytes) -> HeadProof:
        found = await super().head(key)
        return replace(found, map=found.map.replace("count 2", "count 3"))


@pytest.mark.parametrize(
    ("link", "failing"),
    [
        (OfAnother, "CHALLENGE"),
        (Changed, "INCLUSION"),
        (Old, "COMPLETENESS"),
        (OfAnotherKey, "COMPLETENESS"),
        (Forged, "COMPLETENESS"),
    ],
)
async def test_an_answer_that_does_not_hold_is_a_finding(
    world: NotaryWorld, link: type[Link], failing: str
) -> None:
    report = await asked(link(world))
    assert checks(report) == {failing}
    assert report.exit_code == 1
