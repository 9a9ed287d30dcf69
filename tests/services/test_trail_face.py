"""The trail as it is served by a whole mechanism: who may read what, and whether it proves."""

import base64
import secrets
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from adapters.notes import NoteVerifier
from domain.events import REGISTRY_STREAM
from domain.feed import LANES
from domain.notary import HeadProof, Receipt, StreamProof
from domain.trail.deliveries import RECEIPT_SCHEMA, Delivery, deliveries_of, receipt_body
from domain.trail.entry import Entry, Epoch
from domain.trail.heads import MapProof, actor_key, feed_key, stream_key
from domain.trail.merkle import EMPTY_ROOT, leaf, root
from domain.trail.proof import Proof
from domain.trail.quorum import Policy, open_checkpoint
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
from services.bootstrap.parts import CUSTODIAN, now_ms
from services.demo.cast import HEALTH, POLICE, RAPPORTEUR, SHELTER
from services.gateway.confirming import Confirming
from tests.services import trail_checks as check
from tests.services.cluster_checks import entries_of, log_of
from tests.services.running import World, consent, referral, running

VERIFIER = NoteVerifier()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async def nothing(_: Confirming) -> bool:
        return False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Confirming, "confirm", nothing)  # the tests confirm by hand, in one chain
        async with running(tmp_path_factory.mktemp("trail")) as world:
            yield world


pytestmark = pytest.mark.asyncio(loop_scope="module")


class Client:
    """Asks the hub's face, as one agency or as nobody."""

    def __init__(self, world: World, agency: str = "") -> None:
        self._base = world.mechanism.hub_address
        token = world.mechanism.hub.hub.tokens.issue(agency) if agency else ""
        self._headers = {"Authorization": f"Bearer {token}"} if agency else {}

    async def get(self, path: str) -> tuple[int, bytes, Any]:
        async with (
            aiohttp.ClientSession(headers=self._headers) as session,
            session.get(f"{self._base}/trail/{path}") as answer,
        ):
            return answer.status, await answer.read(), answer.headers

    async def post(self, path: str, **document: bytes) -> tuple[int, dict[str, Any]]:
        body = {k: base64.b64encode(v).decode() for k, v in document.items()}
        async with (
            aiohttp.ClientSession(headers=self._headers) as session,
            session.post(f"{self._base}/trail/{path}", json=body) as answer,
        ):
            return answer.status, await answer.json()

    async def status(self, path: str) -> int:
        return (await self.get(path))[0]


def policy(world: World) -> Policy:
    return Policy.parse((world.parts.settings.data / "policy").read_bytes())


async def published(world: World) -> None:
    """Wait until everything that was accepted and fed is under a published checkpoint."""
    await world.quiet()
    folder = world.parts.settings.data / "notary" / "trail"
    store, feeds = world.mechanism.hub.store, world.mechanism.hub.feeds

    def whole() -> bool:
        tree = check.published(folder, policy(world))
        return check.has_all(tree, *log_of(store)) and check.has_fed(tree, entries_of(feeds))

    await world.until(whole)


def proven(world: World, proof: HeadProof, key: bytes) -> MapProof:
    """Return what a key of the map has, once everything about it was checked."""
    of_epoch = Proof.decode(proof.proof.encode())
    size = of_epoch.check(leaf(proof.epoch), policy(world), VERIFIER).checkpoint.size
    assert of_epoch.index == size - 1
    found = MapProof.decode(proof.map)
    assert found.key == key
    found.check(Epoch.decode(proof.epoch).map_root)
    return found


async def test_everybody_gets_checkpoints_and_hash_tiles_and_nobody_entries(world: World) -> None:
    await world.opened(SHELTER)
    await published(world)
    anybody = Client(world)
    status, note, headers = await anybody.get("checkpoint")
    checkpoint = open_checkpoint(note, policy(world), VERIFIER).checkpoint
    assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert headers["Cache-Control"] == "no-cache"
    status, tile, headers = await anybody.get(f"tile/0/000.p/{checkpoint.size}")
    assert (status, len(tile)) == (200, 32 * checkpoint.size)
    assert "immutable" in headers["Cache-Control"]
    assert (await anybody.get("log.vkey"))[1].decode().strip() == world.parts.trust.log
    assert (await anybody.get("policy"))[1] == (world.parts.settings.data / "policy").read_bytes()
    for path in ("tile/entries/000", "body/000", "trust.json", f"streams/{'0' * 64}"):
        assert await anybody.status(path) == 401, path


async def test_what_is_not_there_is_404_and_no_path_leads_out(world: World) -> None:
    anybody, overseer = Client(world), Client(world, RAPPORTEUR)
    for path in ("tile/0/999", "tile/0/000.p/0", "tile/9/x", "tile/..%2fcheckpoint"):
        assert await anybody.status(path) == 404, path
    for path in ("tile/0/" + "9" * 300, "tile/0/" + "x000/" * 1_000 + "000"):
        assert await anybody.status(path) == 404, path[:20]
    for path in ("tile/entries/999", "tile/entries/..%2f..%2fpolicy", "body/..%2f..%2fnotary.db"):
        assert await overseer.status(path) == 404, path


async def test_what_a_round_left_behind_that_came_to_nothing_is_not_served(world: World) -> None:
    notary = world.mechanism.trail.notary
    beyond = {"tile/0/900": bytes(8192), "tile/1/003": bytes(8192), "tile/entries/900": b"\0\0"}
    notary.trail.files.write(beyond)
    for path in beyond:
        assert await Client(world, RAPPORTEUR).status(path) == 404, path


async def test_entries_and_bodies_are_for_oversight(world: World) -> None:
    _, note, _ = await Client(world).get("checkpoint")
    size = open_checkpoint(note, policy(world), VERIFIER).checkpoint.size
    for path in (f"tile/entries/000.p/{size}", f"body/000.p/{size}", "trust.json"):
        assert await Client(world, RAPPORTEUR).status(path) == 200, path
        for agency in (SHELTER, POLICE, CUSTODIAN, "gb-nobody"):
            assert await Client(world, agency).status(path) == 403, path


async def test_an_agency_gets_a_receipt_for_its_action(world: World) -> None:
    case = await world.opened(SHELTER)
    await published(world)
    (event, *_) = world.mechanism.hub.store.read_case(case)
    hashes = stream_tag(case).hex(), digest(event.statement).hex()
    status, answer, _ = await Client(world, SHELTER).get(f"receipts/{hashes[0]}/{hashes[1]}")
    assert status == 200
    receipt = msgspec.json.decode(answer, type=Receipt)
    assert Entry.decode(receipt.entry).statement == event.statement
    Proof.decode(receipt.proof.encode()).check(leaf(receipt.entry), policy(world), VERIFIER)
    assert await Client(world, SHELTER).status(f"receipts/{hashes[0]}/{'0' * 64}") == 404
    assert await Client(world, "gb-nobody").status(f"receipts/{hashes[0]}/{hashes[1]}") == 403


async def test_the_map_proves_the_trail_of_a_case_and_that_another_has_none(world: World) -> None:
    case = await world.opened(SHELTER)
    await published(world)
    own = len(world.mechanism.hub.store.read_case(case))
    for tag, length in ((stream_tag(case), own), (sha256(b"no case").digest(), None)):
        key = stream_key(tag)
        status, answer, _ = await Client(world, SHELTER).get(f"heads/{key.hex()}")
        assert status == 200
        head = proven(world, msgspec.json.decode(answer, type=HeadProof), key).head
        assert (head and head.length) == length


async def test_feeds_and_chains_of_others_are_nobodys_business(world: World) -> None:
    case = await world.opened(SHELTER)
    assert case
    await published(world)
    own_feed = [feed_key(SHELTER, "protection_support", lane) for lane in range(LANES)]
    own_chain = actor_key(actor_id(world.parts.public_key(f"gateways/{SHELTER}")))
    for key in (*own_feed, own_chain):
        assert await Client(world, SHELTER).status(f"heads/{key.hex()}") == 200
        assert await Client(world, RAPPORTEUR).status(f"heads/{key.hex()}") == 200
        assert await Client(world, POLICE).status(f"heads/{key.hex()}") == 403


async def delivered(world: World, agency: str) -> tuple[str, StreamProof]:
    """Return a case that the police referred to `agency`, and what was disclosed of it."""
    case = await world.opened(POLICE)
    await world.done(POLICE, case, "ConsentGiven", **consent(agency, "IDENTITY"))
    await world.done(POLICE, case, "ReferralSent", **referral(agency))
    await published(world)
    status, answer, _ = await Client(world, CUSTODIAN).get(f"disclosures/{case}")
    assert status == 200
    return case, msgspec.json.decode(answer, type=StreamProof)


def deliveries(proof: StreamProof) -> list[Delivery]:
    return [d for e in proof.entries if e.body for d in _deliveries(e.entry, e.body)]


def _deliveries(entry: bytes, body: bytes) -> list[Delivery]:
    return deliveries_of(body) if Entry.decode(entry).said.kind == Kind.DISCLOSURE else []


async def test_the_custodian_gets_all_that_was_disclosed_of_a_case_proven(world: World) -> None:
    case, proof = await delivered(world, SHELTER)
    stream = disclosure_stream(case)
    head = proven(world, proof.head, stream_key(stream)).head
    assert head is not None
    before = ZEROS
    for seq, streamed in enumerate(proof.entries):
        entry = Entry.decode(streamed.entry)
        assert (entry.stream_seq, entry.stream_prev) == (seq, before)
        assert entry.said.stream == stream
        assert entry.said.payload == sha256(streamed.body).digest()
        before = leaf(streamed.entry)
    assert (head.length, head.head) == (len(proof.entries), before)
    events = {digest(e.statement) for e in world.mechanism.hub.store.read_case(case)}
    found = deliveries(proof)
    assert {d.event for d in found} <= events
    assert SHELTER in {d.agency for d in found}
    assert await Client(world, SHELTER).status(f"disclosures/{case}") == 403
    assert await Client(world, CUSTODIAN).status("disclosures/no-case") == 400


async def test_the_custodian_gets_all_facts_of_the_registry_proven(world: World) -> None:
    await published(world)
    status, answer, _ = await Client(world, CUSTODIAN).get("registry")
    found = msgspec.json.decode(answer, type=StreamProof)
    stream = stream_tag(REGISTRY_STREAM)
    head = proven(world, found.head, stream_key(stream)).head
    assert head is not None
    assert (status, head.length) == (200, len(found.entries))
    assert head.head == leaf(found.entries[-1].entry)
    facts = world.mechanism.hub.store.read_case(REGISTRY_STREAM)
    accepted = [e for e in map(Entry.decode, (s.entry for s in found.entries)) if not e.code]
    assert [e.statement for e in accepted] == [fact.statement for fact in facts]
    _, rest, _ = await Client(world, CUSTODIAN).get(f"registry?after={head.length - 1}")
    assert msgspec.json.decode(rest, type=StreamProof).entries == found.entries[-1:]
    assert await Client(world, SHELTER).status("registry") == 403


class Reader:
    """Signs as the reader of an agency."""

    def __init__(self, world: World, agency: str) -> None:
        part = f"gateways/{agency}"
        self._sign, self._seed = world.parts.signing.sign, world.parts.secret(part, "signing")
        self.actor = reader_id(world.parts.public_key(part))
        self.seq, self.prev = 0, ZEROS

    def signed(self, kind: Kind, case: str, body: bytes, **about: Any) -> dict[str, bytes]:
        said = Statement(
            kind=kind,
            type=0,
            stream=disclosure_stream(case),
            after=ZEROS,
            actor=self.actor,
            actor_seq=self.seq,
            actor_prev=self.prev,
            actor_time_ms=now_ms(),
            schema=ZEROS,
            field_count=0,
            fields=EMPTY_ROOT,
            payload=sha256(body).digest(),
            seen_size=0,
            seen_root=EMPTY_ROOT,
        )._replace(**about)
        data = said.encode()
        signature = self._sign(self._seed.reveal(), signed_bytes(data))
        return {"statement": data, "signature": signature, "body": body}

    def receipt(self, case: str, proof: StreamProof, leaves: list[bytes]) -> dict[str, bytes]:
        answered = [e.entry for e in proof.entries if _deliveries(e.entry, e.body)]
        about: dict[str, Any] = {
            "schema": RECEIPT_SCHEMA,
            "after": digest(Entry.decode(answered[-1]).statement),
            "field_count": len(leaves),
            "fields": root(leaves),
        }
        return self.signed(Kind.RECEIPT, case, receipt_body(leaves), **about)

    def took(self, posted: dict[str, bytes]) -> None:
        self.seq, self.prev = self.seq + 1, digest(posted["statement"])


async def test_a_reader_confirms_what_it_took_and_challenges_the_log(world: World) -> None:
    case, proof = await delivered(world, HEALTH)
    reader, client = Reader(world, HEALTH), Client(world, HEALTH)
    newest = _deliveries(proof.entries[-1].entry, proof.entries[-1].body)
    leaves = [d.leaf for d in newest if d.agency == HEALTH]
    receipt = reader.receipt(case, proof, leaves)
    assert await client.post("receipts", **receipt) == (200, {"number": 1})
    assert await client.post("receipts", **receipt) == (200, {"number": 1}), "a repeat"
    reader.took(receipt)
    challenge = reader.signed(Kind.AUDIT, case, secrets.token_bytes(32))
    status, _ = await client.post("challenges", **challenge)
    assert status == 200
    reader.took(challenge)
    wanted = [digest(p["statement"]).hex() for p in (receipt, challenge)]
    stream = disclosure_stream(case).hex()
    for statement in wanted:

        async def there(path: str = f"receipts/{stream}/{statement}") -> bool:
            return await client.status(path) == 200

        await world.until(there)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"signature": bytes(64)}, "SIGNATURE"),
        ({"body": b"another"}, "DELIVERY"),
        ({"statement": b"short"}, "STATEMENT_SIZE"),
    ],
)
async def test_what_a_reader_did_not_sign_is_refused(
    world: World, changed: dict[str, bytes], code: str
) -> None:
    case, proof = await delivered(world, SHELTER)
    own = [d.leaf for d in deliveries(proof) if d.agency == SHELTER]
    receipt = Reader(world, SHELTER).receipt(case, proof, own)
    _, problem = await Client(world, SHELTER).post("receipts", **receipt | changed)
    assert problem["code"] == code


async def test_a_receipt_of_what_was_not_delivered_to_the_reader_is_refused(world: World) -> None:
    case, proof = await delivered(world, SHELTER)
    others = [d.leaf for d in deliveries(proof) if d.agency == SHELTER]
    receipt = Reader(world, POLICE).receipt(case, proof, others[:1])
    _, problem = await Client(world, POLICE).post("receipts", **receipt)
    assert problem["code"] == "RECEIPT_UNKNOWN"


async def test_a_reader_speaks_for_itself_and_in_order(world: World) -> None:
    case, _ = await delivered(world, SHELTER)
    challenge = Reader(world, SHELTER).signed(Kind.AUDIT, case, secrets.token_bytes(32))
    _, problem = await Client(world, POLICE).post("challenges", **challenge)
    assert problem["code"] == "READER_KEY"
    reader = Reader(world, SHELTER)
    reader.seq = 7
    later = reader.signed(Kind.AUDIT, case, secrets.token_bytes(32))
    _, problem = await Client(world, SHELTER).post("challenges", **later)
    assert problem["code"] == "READER_SEQ"
    seen = Reader(world, SHELTER).signed(
        Kind.AUDIT, case, secrets.token_bytes(32), seen_size=1, seen_root=bytes(32)
    )
    _, problem = await Client(world, SHELTER).post("challenges", **seen)
    assert problem["code"] == "SEEN_UNKNOWN"


async def test_the_hub_shows_the_trails_state_and_is_ready(world: World) -> None:
    address = world.mechanism.hub_address + "/ready"
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        found = await answer.json()
    assert answer.status == 200
    assert found["trail"]["state"] in {"published", "pending"}
