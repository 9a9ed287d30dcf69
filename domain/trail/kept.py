"""What a replay keeps so that it can be taken up again: `nrm-replay` (docs/formats.md 22).

Reading is strict, and believes nothing that a tree can show: kept are the tree up to an EPOCH
and the EPOCH, so whoever finds that a log continues this tree has proof of the EPOCH, which
states the root of the map; and the map has the ends of all streams, chains and feeds. Sizes and
roots of older checkpoints, what each actor has seen and who was given what are believed: keep
such a file where nobody else writes.
"""

import re
import struct
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple, Self

from domain.errors import Malformed
from domain.trail.admission import SEEN
from domain.trail.checkpoint import Checkpoint
from domain.trail.delivered import Delivered, Feed, OfCase
from domain.trail.entry import EPOCH_SIZE, Entry, Epoch
from domain.trail.heads import Head, HeadMap, actor_key, feed_key, stream_key
from domain.trail.merkle import EMPTY_ROOT, HASH_SIZE, Range, leaf
from domain.trail.packed import NUMBER, Reading, ascending, counted, sized, text, wrong
from domain.trail.replay import MOST_FINDINGS, REGISTRY, Finding, Kept
from domain.trail.state import State
from domain.trail.statement import ZEROS

VERSION = 1
"""Raised when the layout changes or a rule of the replay does: what older rules let pass is
replayed under the new ones."""

_HEAD = re.compile(rb"nrm-replay@v(0|[1-9][0-9]{0,8})\n((?:[^\n]+\n){3})([0-9a-f]{64})\n\n")
_HEADED = struct.Struct(">32sQ32sQ")
_SIZED = struct.Struct(">Q32s")
_SAW = struct.Struct(">32sQ")
_SUM = sha256().digest_size


class Preface(NamedTuple):
    """What stands before everything else, in every version; as a SHA-256 of all ends it."""

    version: int
    checkpoint: Checkpoint
    """Of the tree that was kept."""
    trust: bytes
    """SHA-256 of the trust.json under which it was replayed."""

    def encode(self) -> bytes:
        """Return its five lines, and an empty one."""
        lines = f"nrm-replay@v{self.version}\n{self.checkpoint.text}{self.trust.hex()}\n\n"
        return lines.encode()

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Return the preface of what was kept, of any version; `Malformed` STATE if it is none."""
        found = _HEAD.match(data)
        if found is None:
            raise wrong("none of a replay")
        if sha256(memoryview(data)[:-_SUM]).digest() != data[-_SUM:]:
            raise wrong("cut off or damaged: its checksum is another")
        version, said, trust = found.groups()
        try:
            checkpoint = Checkpoint.parse(said.decode("utf-8"))
        except (UnicodeDecodeError, Malformed) as e:
            raise wrong("of no checkpoint") from e
        return cls(int(version), checkpoint, bytes.fromhex(trust.decode()))

    def unfit(self, trust: bytes) -> str:
        """Return why this cannot be taken up here, under this trust.json; empty if it can."""
        if self.version != VERSION:
            return f"it is of version {self.version} of a replay, which is {VERSION} now"
        return "" if self.trust == trust else "it was kept under another trust.json"


def encode(kept: Kept, origin: str, trust: bytes) -> bytes:
    """Return what was kept of the log of this origin; equal logs give equal bytes."""
    state = kept.state
    checkpoint = Checkpoint(origin, state.size, state.range.root)
    parts = [Preface(VERSION, checkpoint, trust).encode(), kept.epoch, *kept.covered.nodes]
    parts += [_HEADED.pack(key, *head) for key, head in sorted(state.heads.items())]
    roots = [at for at in sorted(state.checkpoints.items()) if 0 < at[0] < state.size]
    parts += counted(_SIZED.pack(*at) for at in roots)
    parts += counted(_SAW.pack(*saw) for saw in sorted(state.newest_seen.items()))
    parts += counted(map(_feed, sorted(state.delivered.feeds.items())))
    parts += counted(map(_case, sorted(state.delivered.cases.items(), key=lambda item: item[0])))
    parts += counted(sized(entry) + sized(body) for entry, body in kept.facts)
    parts += counted(NUMBER.pack(a.index) + text(a.message) for a in kept.alarms)
    return sealed(b"".join(parts))


def sealed(data: bytes) -> bytes:
    """Return what is to be kept with its checksum."""
    return data + sha256(data).digest()


def decode(data: bytes) -> Kept:
    """Return what was kept; `Malformed` STATE says what is wrong with it."""
    preface = Preface.of(data)
    if preface.version != VERSION:
        raise wrong(f"of version {preface.version}, not {VERSION}")
    reading = Reading(data, len(preface.encode()), len(data) - _SUM)
    closing = reading.take(EPOCH_SIZE)
    epoch = _epoch(closing)
    covered = reading.range_of(epoch.covered)
    tree = covered.append(leaf(closing))
    if tree.size != preface.checkpoint.size or tree.root != preface.checkpoint.root:
        raise wrong("of another tree than its checkpoint")
    heads = _heads(reading, epoch)
    checkpoints = {0: EMPTY_ROOT, **_roots(reading, tree.size), tree.size: tree.root}
    state = State(
        tree,
        epoch.recorded_ms,
        heads=heads,
        checkpoints=checkpoints,
        seen=_seen(reading, heads, checkpoints),
        delivered=Delivered(_feeds(reading, heads), _cases(reading, heads)),
    )
    kept = Kept(covered, closing, state, _facts(reading, heads), _alarms(reading, tree.size))
    reading.end()
    return kept


def _epoch(data: bytes) -> Epoch:
    try:
        return Epoch.decode(data)
    except Malformed as e:
        raise wrong("damaged: it has no EPOCH") from e


def _heads(reading: Reading, epoch: Epoch) -> HeadMap:
    heads, before = HeadMap(), b""
    for key, *head in reading.rows(_HEADED, epoch.map_keys):
        if key <= before:
            raise wrong("damaged: its heads have another order")
        heads.set(key, Head(*head))
        before = key
    if heads.root() != epoch.map_root:
        raise wrong("damaged: its heads do not give the map root of its EPOCH")
    return heads


def _roots(reading: Reading, size: int) -> dict[int, bytes]:
    roots: dict[int, bytes] = ascending(reading.rows(_SIZED, reading.number()))
    if roots and (min(roots) < 1 or max(roots) >= size):
        raise wrong("damaged: it has a checkpoint of another size than any before it")
    return roots


def _seen(
    reading: Reading, heads: HeadMap, checkpoints: Mapping[int, bytes]
) -> Mapping[bytes, int]:
    seen: dict[bytes, int] = ascending(reading.rows(_SAW, reading.number()))
    for actor, size in seen.items():
        if not size or size not in checkpoints or heads.get(actor_key(actor)) is None:
            raise wrong("damaged: an actor has seen what there was not")
    return seen


def _feed(item: tuple[Feed, Range]) -> bytes:
    feed, tree = item
    lane = bytes((feed.lane,))
    seat = text(feed.agency) + text(feed.purpose)
    return b"".join((seat, lane, NUMBER.pack(tree.size), *tree.nodes))


def _feeds(reading: Reading, heads: HeadMap) -> Mapping[Feed, Range]:
    def one() -> tuple[Feed, Range]:
        feed = Feed(reading.text(), reading.text(), reading.take(1)[0])
        tree = reading.range_of(reading.number())
        head = heads.get(feed_key(*feed))
        if head is None or head[:2] != (tree.size, tree.root):
            raise wrong("damaged: a feed is not as long as the map has it")
        return feed, tree

    return ascending(one() for _ in reading.counted())


def _case(item: tuple[bytes, OfCase]) -> bytes:
    stream, case = item
    marks = counted(text(agency) + sized(of) for agency, of in sorted(case.marks.items()))
    return b"".join((stream, *counted(case.digests), *marks))


def _cases(reading: Reading, heads: HeadMap) -> Mapping[bytes, OfCase]:
    def one() -> tuple[bytes, OfCase]:
        stream = reading.take(HASH_SIZE)
        digests = reading.hashes(reading.number())
        case = OfCase(
            digests, ascending((reading.text(), reading.sized()) for _ in reading.counted())
        )
        head = heads.get(stream_key(stream))
        if head is None or len(digests) > head.length or not case.fits():
            raise wrong("damaged: it has disclosures that the map does not count")
        return stream, case

    return ascending(one() for _ in reading.counted())


def _facts(reading: Reading, heads: HeadMap) -> list[tuple[bytes, bytes]]:
    """Return the registry's stream; it must be the chain that the map has the end of."""
    facts, before = [], ZEROS
    for number in reading.counted():
        data, body = reading.sized(), reading.sized()
        try:
            entry = Entry.decode(data)
        except Malformed as e:
            raise wrong("damaged: an entry of the registry cannot be read") from e
        signed = b"" if entry.code else entry.said.payload
        if (entry.said.stream, entry.stream_seq, entry.stream_prev) != (REGISTRY, number, before):
            raise wrong("damaged: the registry's stream in it is no chain")
        if signed != (sha256(body).digest() if body else b""):
            raise wrong("damaged: a registry fact in it is not the one that was signed")
        facts.append((data, body))
        before = leaf(data)
    if heads.due(stream_key(REGISTRY)) != (len(facts), before):
        raise wrong("damaged: the map has another end of the registry's stream")
    return facts


def _alarms(reading: Reading, size: int) -> list[Finding]:
    alarms = [Finding(reading.number(), SEEN, reading.text()) for _ in reading.counted()]
    if len(alarms) > MOST_FINDINGS or any(alarm.index >= size for alarm in alarms):
        raise wrong("damaged: it has alarms about what there was not")
    return alarms
