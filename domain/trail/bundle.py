"""A bundle of evidence: what it takes to prove one case's trail whole, and nothing else.

Three streams under one checkpoint: the registry (who may sign), the case's actions, and what
was disclosed of it. Each is proven whole by the map of heads in the checkpoint's EPOCH entry.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Self
from uuid import UUID

from domain import events as ev
from domain.errors import Malformed, NotAuthentic
from domain.trail import archive
from domain.trail.anchors import Anchor
from domain.trail.heads import MapProof
from domain.trail.proof import Proof
from domain.trail.statement import disclosure_stream, stream_tag

REGISTRY, TRAIL, DISCLOSURES = "registry", "trail", "disclosures"
STREAMS = (REGISTRY, TRAIL, DISCLOSURES)
_MANIFEST = "MANIFEST"
_TEXTS = ("README.txt", "case", "checkpoint", "epoch.entry", "epoch.tlog-proof", "policy")
_FIXED = frozenset({*_TEXTS, "trust.json", "verify.py", *(f"{s}/map.proof" for s in STREAMS)})
_ITEM = re.compile(r"(registry|trail|disclosures)/([0-9]{6})\.(body|entry|tlog-proof)")
_ANCHORS = "anchors/"
_ANCHOR = re.compile(r"anchors/([1-9][0-9]{0,18})\.(?:checkpoint|consistency|tsr)")
_LINE = "{}  {}\n"
"""As `sha256sum` writes it."""


class Proven(NamedTuple):
    """One entry of a stream."""

    entry: bytes
    proof: Proof
    body: bytes | None
    """None when the bundle was made without the bodies of this stream."""


class Stream(NamedTuple):
    """A whole stream."""

    entries: tuple[Proven, ...]
    """In its order."""
    head: MapProof
    """How many entries the map has for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The evidence as read: nothing in it holds before it is checked."""

    case_id: str
    policy: bytes
    """The policy under which it was made. Who checks has one of its own."""
    trust: bytes
    """trust.json likewise."""
    checkpoint: bytes
    """The signed note; every proof carries the same."""
    epoch: bytes
    epoch_proof: Proof
    streams: Mapping[str, Stream]
    """By the names in `STREAMS`."""
    readme: bytes
    verifier: bytes
    """verify.py: a program of one file that checks all this."""
    anchors: tuple[Anchor, ...] = ()
    """The first time-stamp over each entry of the case, as far as there is one; sizes go up."""

    def encode(self) -> bytes:
        """Return the archive; `Malformed` ARCHIVE when it is too large."""
        members = {
            "README.txt": self.readme,
            "case": f"{self.case_id}\n".encode(),
            "checkpoint": self.checkpoint,
            "epoch.entry": self.epoch,
            "epoch.tlog-proof": self.epoch_proof.encode(),
            "policy": self.policy,
            "trust.json": self.trust,
            "verify.py": self.verifier,
        }
        for name, stream in self.streams.items():
            members[f"{name}/map.proof"] = stream.head.encode().encode()
            for number, (entry, proof, body) in enumerate(stream.entries):
                members[f"{name}/{number:06}.entry"] = entry
                members[f"{name}/{number:06}.tlog-proof"] = proof.encode()
                if body is not None:
                    members[f"{name}/{number:06}.body"] = body
        for anchor in self.anchors:
            at = f"{_ANCHORS}{anchor.size}"
            members[f"{at}.checkpoint"] = anchor.checkpoint
            members[f"{at}.consistency"] = anchor.proof_text
            members[f"{at}.tsr"] = anchor.answer
        return archive.encode({**members, _MANIFEST: manifest(members)})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the bundle in the archive `data`.

        `Malformed` ARCHIVE, EVIDENCE (a member missing, extra or not what its name says) or
        what its parts raise; `NotAuthentic` MANIFEST when a member is not as listed.
        """
        members = archive.decode(data)
        listed = members.pop(_MANIFEST, None)
        if listed is None:
            raise _malformed("MANIFEST is missing")
        _check_manifest(members, listed)
        anchors = _anchors(members)
        counts = _check_names(members)
        return cls(
            case_id=_case(members["case"]),
            policy=members["policy"],
            trust=members["trust.json"],
            checkpoint=members["checkpoint"],
            epoch=members["epoch.entry"],
            epoch_proof=_proof(members, "epoch"),
            streams=MappingProxyType({s: _stream(members, s, counts[s]) for s in STREAMS}),
            readme=members["README.txt"],
            verifier=members["verify.py"],
            anchors=anchors,
        )


def streams_of(case_id: str) -> dict[str, bytes]:
    """Return the 32-byte tag of each stream of a bundle about this case, by its name."""
    return {
        REGISTRY: stream_tag(ev.REGISTRY_STREAM),
        TRAIL: stream_tag(case_id),
        DISCLOSURES: disclosure_stream(case_id),
    }


def manifest(members: Mapping[str, bytes]) -> bytes:
    """Return what `sha256sum -c` reads: the digest of each member, in the order of the names."""
    lines = (
        _LINE.format(hashlib.sha256(data).hexdigest(), name)
        for name, data in sorted(members.items())
    )
    return "".join(lines).encode()


def _check_manifest(members: Mapping[str, bytes], listed: bytes) -> None:
    wanted = manifest(members)
    if wanted == listed:
        return
    there = set(listed.decode("ascii", "replace").splitlines())
    wrong = [line[66:] for line in wanted.decode().splitlines() if line not in there]
    about = f"{wrong[0]} is not as it lists it" if wrong else "it lists what is not there"
    raise NotAuthentic("MANIFEST", f"MANIFEST does not hold: {about}")


def _anchors(members: dict[str, bytes]) -> tuple[Anchor, ...]:
    """Take the anchors out of the members."""
    files = {name: members.pop(name) for name in [*members] if name.startswith(_ANCHORS)}
    sizes = {int(found[1]) for name in files if (found := _ANCHOR.fullmatch(name))}
    ends = ("checkpoint", "tsr", "consistency")
    if files.keys() != {f"{_ANCHORS}{size}.{end}" for size in sizes for end in ends}:
        raise _malformed("an anchor is not whole")
    return tuple(
        Anchor.of(size, *(files[f"{_ANCHORS}{size}.{end}"] for end in ends))
        for size in sorted(sizes)
    )


def _check_names(members: Mapping[str, bytes]) -> dict[str, int]:
    """Return how many entries each stream has; `Malformed` EVIDENCE unless names are just these."""
    if missing := sorted(_FIXED - members.keys()):
        raise _malformed(f"{missing[0]} is missing")
    found: dict[str, dict[str, int]] = {s: {} for s in STREAMS}
    for name in members.keys() - _FIXED:
        item = _ITEM.fullmatch(name)
        if item is None:
            raise _malformed("a file is in it that belongs in no bundle")
        kinds = found[item[1]]
        kinds[item[3]] = kinds.get(item[3], 0) + 1
    counts = {}
    for stream, kinds in found.items():
        count = counts[stream] = kinds.get("entry", 0)
        bodies = kinds.get("body", 0)
        if kinds.get("tlog-proof", 0) != count or bodies not in {0, count}:
            raise _malformed(f"an entry, proof or body is missing in {stream}")
        gapless = all(f"{stream}/{n:06}.{kind}" in members for n in range(count) for kind in kinds)
        if not gapless or (stream == REGISTRY and bodies != count):
            raise _malformed(f"an entry, proof or body is missing in {stream}")
    return counts


def _stream(members: Mapping[str, bytes], name: str, count: int) -> Stream:
    places = [f"{name}/{number:06}" for number in range(count)]
    entries = [
        Proven(members[f"{at}.entry"], _proof(members, at), members.get(f"{at}.body"))
        for at in places
    ]
    return Stream(tuple(entries), _map_proof(members[f"{name}/map.proof"]))


def _proof(members: Mapping[str, bytes], name: str) -> Proof:
    return Proof.decode(members[f"{name}.tlog-proof"])


def _map_proof(data: bytes) -> MapProof:
    return MapProof.decode(data.decode("ascii", "replace"))


def _case(data: bytes) -> str:
    text = data.decode("ascii", "replace")
    try:
        case_id = str(UUID(text.strip()))
    except ValueError:
        case_id = ""
    if text != f"{case_id}\n":
        raise _malformed("the file `case` holds no case id")
    return case_id


def _malformed(why: str) -> Malformed:
    return Malformed("EVIDENCE", f"this is no bundle of evidence: {why}")
