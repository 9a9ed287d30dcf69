"""What readers post comes into the trail, also when their key is replaced meanwhile."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Conflict
from domain.events import REGISTRY_STREAM
from domain.notary import SignedStatement
from domain.standing import Key, Period
from domain.trail.deliveries import deliveries_of
from domain.trail.entry import Entry
from domain.trail.merkle import EMPTY_ROOT
from domain.trail.statement import (
    ZEROS,
    Kind,
    Statement,
    actor_id,
    digest,
    disclosure_stream,
    reader_id,
    signed_bytes,
    stream_tag,
)
from services.notary import round as rounds
from services.notary import sequencer
from services.notary.intake import FRESH_MS, NONCE_SIZE, WAITING, Intake
from services.notary.signers import Signers
from services.notary.state import newest_disclosure
from services.notary.tree import Tree
from tests.builders import uid
from tests.services.notary_world import (
    OPERATOR,
    SIGNING,
    T0,
    NotaryWorld,
    public,
    registry,
    seed,
)
from tests.spec import refusal_of

READER = "gb-shelter"
HOUR = 3_600_000


class Posting:
    """A notary whose reader signs with its key, and with the one that replaces it."""

    def __init__(self, folder: Path) -> None:
        self.registry = registry()
        signers = Signers(lambda: self.registry, OPERATOR, public("notary"))
        self.world = NotaryWorld(folder, signers=signers)
        self.intake = Intake(
            self.world.store,
            self.world.files,
            lambda: self.registry,
            SIGNING.verify,
            self.world.clock,
        )
        self.chains: dict[str, tuple[int, bytes]] = {}
        self.world.acting.record(self.world.acting.event())
        self.world.sequenced()

    def rotate(self, at_ms: int) -> None:
        """Replace the reader's key from `at_ms` on; somebody acts after that."""
        agency = self.registry.agencies[READER]
        old = replace(agency.keys[0], period=Period(starts=0, ends=at_ms))
        new = Key(
            agency=READER,
            signing_key=public("new key"),
            opening_key=b"",
            period=Period(starts=at_ms),
        )
        agencies = {**self.registry.agencies, READER: replace(agency, keys=(old, new))}
        actors = {**self.registry.actors, actor_id(public("new key")): (READER, 1)}
        self.registry = replace(self.registry, version=2, agencies=agencies, actors=actors)

    def act(self, at_ms: int) -> None:
        """Let somebody act, so that the log's time is `at_ms`."""
        self.world.acting.now = at_ms
        self.world.acting.record(self.world.acting.event())

    def post(self, signer: str = READER, **about: Any) -> bytes:
        """Post a challenge; return its statement."""
        seq, prev = self.chains.get(signer, (0, ZEROS))
        nonce = sha256(f"{signer} {seq}".encode()).digest()
        said = Statement(
            kind=Kind.AUDIT,
            type=0,
            stream=disclosure_stream(uid("case")),
            after=ZEROS,
            actor=reader_id(public(signer)),
            actor_seq=seq,
            actor_prev=prev,
            actor_time_ms=self.world.now,
            schema=ZEROS,
            field_count=0,
            fields=EMPTY_ROOT,
            payload=sha256(nonce).digest(),
            seen_size=0,
            seen_root=EMPTY_ROOT,
        )._replace(**about)
        statement = said.encode()
        signature = SIGNING.sign(seed(signer), signed_bytes(statement))
        signed = SignedStatement(statement=statement, signature=signature, body=nonce)
        self.intake.take(Kind.AUDIT, signed, READER)
        self.chains[signer] = seq + 1, digest(statement)
        return statement

    def entered(self) -> list[bytes]:
        """Sequence everything; return the challenges that the trail has, in order."""
        self.world.sequenced()
        size = self.world.store.newest().tree.size
        tree = Tree(self.world.files, size)
        entries = [Entry.decode(e) for i in range(size) if len(e := tree.entry(i)) > 60]
        return [e.statement for e in entries if e.said.kind == Kind.AUDIT]


@pytest.fixture
def posting(tmp_path: Path) -> Iterator[Posting]:
    posting = Posting(tmp_path)
    with closing(posting.world):
        yield posting


def test_what_was_posted_before_a_rotation_is_entered_after_it(posting: Posting) -> None:
    posted = posting.post()
    posting.rotate(T0 + 1)
    posting.act(T0 + 2)
    assert posting.entered() == [posted]


def test_what_is_posted_under_a_new_key_is_entered_although_nobody_has_acted_since(
    posting: Posting,
) -> None:
    """The log's newest time is then before the key began."""
    posting.rotate(T0 + HOUR)
    posting.world.now = T0 + 2 * HOUR
    assert posting.entered() == []
    first, second = posting.post("new key"), posting.post("new key")
    assert posting.entered() == [first, second]


def test_what_waited_for_half_a_day_is_entered(posting: Posting) -> None:
    posted = posting.post()
    posting.act(T0 + 12 * HOUR)
    assert posting.entered() == [posted]


def test_after_what_waited_for_too_long_the_reader_goes_on(posting: Posting) -> None:
    posting.post()
    posting.post()
    posting.act(T0 + 25 * HOUR)
    assert posting.entered() == []
    posting.world.now = T0 + 25 * HOUR
    with pytest.raises(Conflict, match="READER_SEQ"):
        posting.post()
    posting.chains.clear()  # as the map of heads says
    posted = posting.post()
    assert posting.entered() == [posted]


@pytest.mark.parametrize(
    ("now", "signed"),
    [(T0 + 2 * HOUR, T0 + HOUR - 1), (T0 + 9 * HOUR, T0 + 9 * HOUR - FRESH_MS - 1)],
    ids=["before the key began", "an hour ago"],
)
def test_what_the_log_might_not_take_is_to_be_signed_anew(
    posting: Posting, now: int, signed: int
) -> None:
    posting.rotate(T0 + HOUR)
    posting.world.now = now
    late = lambda: posting.post("new key", actor_time_ms=signed)  # noqa: E731
    assert refusal_of(late)[0] == "READER_TIME"
    posting.post("new key")


def test_nobody_fills_the_registrys_stream(posting: Posting) -> None:
    into = lambda: posting.post(stream=stream_tag(REGISTRY_STREAM))  # noqa: E731
    assert refusal_of(into)[0] == "REGISTRY_WRITER"


def test_a_challenge_is_about_a_case_of_which_the_trail_has_an_action(posting: Posting) -> None:
    unknown = disclosure_stream(uid("another case"))
    about = lambda: posting.post(stream=unknown)  # noqa: E731
    assert refusal_of(about)[0] == "CHALLENGE_STREAM"
    posting.world.acting.record(posting.world.acting.event(case="another case"))
    assert refusal_of(about)[0] == "CHALLENGE_STREAM", "not in the trail yet"
    posting.world.sequenced()
    posted = posting.post(stream=unknown)
    assert posting.entered() == [posted]


@pytest.mark.parametrize(
    "bound", [{"POSTED": 4}, {"MOST_BYTES": 4 * NONCE_SIZE}], ids=["number", "bytes"]
)
def test_of_what_was_posted_a_round_takes_so_much_and_the_next_the_rest(
    posting: Posting, monkeypatch: pytest.MonkeyPatch, bound: dict[str, int]
) -> None:
    for name, value in {"POSTED_PAGE": 2, **bound}.items():
        monkeypatch.setattr(rounds, name, value)
    monkeypatch.setattr(sequencer, "ROUNDS", 1)
    before = posting.world.store.newest().tree.size
    posted = [posting.post() for _ in range(9)]
    taken = []
    for more in (True, True, False):
        assert posting.world.sequencer.step() == more
        taken.append(posting.world.store.newest().sources.intake)
    assert taken == [4, 8, 9]
    assert posting.world.store.newest().tree.size == before + 9 + 3
    assert posting.world.statements()[-9:] == posted


def test_only_so_many_challenges_of_a_reader_wait(posting: Posting) -> None:
    posted = [posting.post() for _ in range(WAITING)]
    assert refusal_of(posting.post)[0] == "CHALLENGES_WAITING"
    assert posting.entered() == posted
    posting.post()


def test_a_repeat_is_known_however_late_it_comes(posting: Posting) -> None:
    statement = posting.post()
    posting.chains.clear()
    posting.world.now += 2 * HOUR
    assert posting.post(actor_time_ms=T0) == statement


def test_a_receipts_disclosure_is_found_without_reading_the_others_of_its_case(
    posting: Posting, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, stream = posting.world, disclosure_stream(uid("case"))
    for _ in range(3):
        (position,) = world.acting.record(world.acting.event())
        world.acting.feed(READER, position)
        world.sequenced()
    tree = Tree(world.files, world.store.newest().tree.size)
    shown = world.store.streamed(stream)
    digests = [digest(Entry.decode(tree.entry(i)).statement) for i in shown]
    leaves = [d.leaf for i in shown for d in deliveries_of(tree.body(i))]
    read, paths = world.files.read, list[str]()

    def noted(path: str) -> bytes | None:
        paths.append(path)
        return read(path)

    monkeypatch.setattr(world.files, "read", noted)
    assert [posting.intake.disclosure(stream, leaf, READER) for leaf in leaves] == digests
    assert len(paths) == len(leaves)
    for asked, expected in ((leaves[:2], digests[1]), ([*leaves, sha256().digest()], None)):
        assert newest_disclosure(world.store, world.files, stream, READER, asked) == expected
    for other in ((sha256().digest(), READER), (stream, "gb-police")):
        assert newest_disclosure(world.store, world.files, *other, leaves) is None
