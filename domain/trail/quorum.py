"""Whom a verifier trusts (C2SP tlog-policy): logs, witnesses and how many must have cosigned.

Beyond C2SP: the file is UTF-8, its last line ends too, and no log is a witness of itself.
"""

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple, Self

from domain.errors import Malformed, NotAuthentic
from domain.trail.checkpoint import Checkpoint, from_decimal, signed_at
from domain.trail.notes import Algorithm, Note, NoteVerifying, VerifierKey

MAX_SIZE = 1_000_000
MAX_DEFINITIONS = 256
"""Logs, witnesses and groups of one policy; C2SP asks for 32 of each."""
NONE = "none"
"""The quorum of a policy that asks for no witness."""
_SPACE = re.compile("[ \t]+")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_LOG = (Algorithm.ED25519, Algorithm.ML_DSA_44_COSIGNATURE)
_WITNESS = (Algorithm.ED25519_COSIGNATURE, Algorithm.ML_DSA_44_COSIGNATURE)


class Witness(NamedTuple):
    """A witness as one policy calls it."""

    key: VerifierKey
    url: str | None
    """Where it takes checkpoints, if the policy says so."""


class Group(NamedTuple):
    """Witnesses and groups, so many of which stand for all."""

    needed: int
    members: tuple[str, ...]


class Policy(NamedTuple):
    """A trust policy; made by `parse`."""

    log_keys: tuple[VerifierKey, ...]
    witnesses: Mapping[str, Witness]
    """By the name that this policy gives them, in its order; likewise the groups."""
    groups: Mapping[str, Group]
    quorum: str
    """A witness, a group, or `NONE`."""

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the policy in `data`, or raise `Malformed` POLICY with the number of the line."""
        lines, draft = _lines(data), _Draft()
        for number, line in enumerate(lines, 1):
            words = _SPACE.split(line.strip(" \t"))
            if words == [""] or words[0].startswith("#"):
                continue
            try:
                draft.take(words)
            except Malformed as e:
                raise Malformed("POLICY", f"line {number}: {e.message}") from None
        if draft.quorum is None:
            raise _malformed(f"line {len(lines) + 1}: the policy ends without a quorum line")
        return cls(tuple(draft.log_keys), draft.witnesses, draft.groups, draft.quorum)

    def satisfied(self, names: Collection[str]) -> bool:
        """Say whether these witnesses are enough."""
        return not self.missing(names)

    def missing(self, names: Collection[str]) -> str:
        """Say in words who must cosign beside these witnesses; nothing when they are enough."""
        lacking = {name: name for name in self.witnesses if name not in names}
        for name, (needed, members) in self.groups.items():
            absent = [lacking[member] for member in members if member in lacking]
            more = needed - (len(members) - len(absent))
            if more > 0:
                lacking[name] = f"{name} ({more} more of {', '.join(absent)})"
        return lacking.get(self.quorum, "")

    def reached(self, times: Mapping[str, int]) -> int | None:
        """Return when enough of these witnesses had cosigned, of the time of each; None if never.

        So one clock that is ahead does not count where the others are enough.
        """
        for at in sorted(set(times.values())):
            if self.satisfied([name for name, time in times.items() if time <= at]):
                return at
        return None


class Witnessed(NamedTuple):
    """A checkpoint whose signatures held."""

    checkpoint: Checkpoint
    cosigned_s: Mapping[str, int]
    """When each witness that signed saw it, in seconds since 1970, by its name in the policy."""


def open_checkpoint(data: bytes, policy: Policy, verifying: NoteVerifying) -> Witnessed:
    """Return the checkpoint in the note `data`, verified under `policy`.

    `Malformed` NOTE or CHECKPOINT for what is none, else `NotAuthentic`: ORIGIN of another log,
    LOG_SIGNATURE or WITNESS_SIGNATURE that does not hold, QUORUM of witnesses not reached.
    """
    note = Note.decode(data)
    checkpoint = Checkpoint.parse(note.text)
    _check_log(note, checkpoint, policy, verifying)
    cosigned_s = _cosigned(note, checkpoint, policy, verifying)
    missing = policy.missing(cosigned_s)
    if missing:
        raise NotAuthentic("QUORUM", f"too few witnesses have cosigned: missing {missing}")
    return Witnessed(checkpoint, cosigned_s)


def _check_log(
    note: Note, checkpoint: Checkpoint, policy: Policy, verifying: NoteVerifying
) -> None:
    keys = [key for key in policy.log_keys if key.name == checkpoint.origin]
    if not keys:
        raise NotAuthentic("ORIGIN", "the policy names no log with the origin of this checkpoint")
    signed = note.signed_by(keys)
    if not signed:
        raise NotAuthentic("LOG_SIGNATURE", "no key that the policy names for the log has signed")
    for key, signature in signed:
        if signed_at(checkpoint, key, signature, verifying) is None:
            raise NotAuthentic("LOG_SIGNATURE", f"the signature of log key {key.id.hex()} is bad")


def _cosigned(
    note: Note, checkpoint: Checkpoint, policy: Policy, verifying: NoteVerifying
) -> Mapping[str, int]:
    names = {witness.key: name for name, witness in policy.witnesses.items()}
    times: dict[str, int] = {}
    for key, signature in note.signed_by(names):
        time_s = signed_at(checkpoint, key, signature, verifying)
        if not time_s:  # C2SP tlog-witness: a witness never leaves out the time
            raise NotAuthentic("WITNESS_SIGNATURE", f"the cosignature of {names[key]} is bad")
        times[names[key]] = time_s
    return times


class _Draft:
    """A policy while its lines are taken; whatever it names was defined on a line before."""

    def __init__(self) -> None:
        self.log_keys: list[VerifierKey] = []
        self.witnesses: dict[str, Witness] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self._in_groups: set[str] = set()

    def take(self, words: list[str]) -> None:
        match words:
            case ["log", vkey] | ["log", vkey, _]:
                self.log_keys.append(self._key(vkey, _LOG))
            case ["witness", name, vkey]:
                self._define(name)
                self.witnesses[name] = Witness(self._key(vkey, _WITNESS), None)
            case ["witness", name, vkey, url]:
                self._define(name)
                self.witnesses[name] = Witness(self._key(vkey, _WITNESS), url)
            case ["group", name, needed, *members] if members:
                self._define(name)
                self._join(members)
                self.groups[name] = Group(_needed(needed, len(members)), tuple(members))
            case ["quorum", name]:
                self._require(name)
            case _:
                raise _malformed("a line is log, witness, group or quorum with its own words")
        if len(self.log_keys) + len(self.witnesses) + len(self.groups) > MAX_DEFINITIONS:
            raise _malformed(f"more than {MAX_DEFINITIONS} logs, witnesses and groups")

    def _key(self, vkey: str, algorithms: Collection[Algorithm]) -> VerifierKey:
        key = VerifierKey.parse(vkey)
        if key.algorithm not in algorithms:
            raise _malformed("a log's key is of type 1 or 6, a witness's of type 4 or 6")
        for other in (*self.log_keys, *(witness.key for witness in self.witnesses.values())):
            if key.public_key == other.public_key or (key.name, key.id) == (other.name, other.id):
                raise _malformed("the key stands on an earlier line too")
        return key

    def _define(self, name: str) -> None:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise _malformed("the name is taken")

    def _join(self, members: list[str]) -> None:
        for member in members:
            if member not in self.witnesses and member not in self.groups:
                raise _malformed("a member is no witness or group of an earlier line")
            if member in self._in_groups:
                raise _malformed("a member is in a group already; one counts in one way only")
            self._in_groups.add(member)

    def _require(self, name: str) -> None:
        if self.quorum is not None:
            raise _malformed("a second quorum")
        if name != NONE and name not in self.witnesses and name not in self.groups:
            raise _malformed("the quorum is no witness or group of an earlier line")
        self.quorum = name


def _needed(word: str, members: int) -> int:
    try:
        needed = {"any": 1, "all": members}.get(word) or from_decimal(word)
    except ValueError:
        needed = 0
    if not 1 <= needed <= members:
        raise _malformed("a group needs any, all, or a number from 1 to that of its members")
    return needed


def _lines(data: bytes) -> list[str]:
    if len(data) > MAX_SIZE:
        raise _malformed(f"a policy is at most {MAX_SIZE} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as e:
        number = data.count(b"\n", 0, e.start) + 1
        raise _malformed(f"line {number}: not UTF-8") from None
    *lines, rest = text.split("\n")
    for number, line in enumerate([*lines, rest], 1):
        if _CONTROL.search(line):
            raise _malformed(f"line {number}: a control character other than tab and newline")
    if rest:
        raise _malformed(f"line {len(lines) + 1}: the line has no end; the file may be cut off")
    return lines


def _malformed(why: str) -> Malformed:
    return Malformed("POLICY", why)
