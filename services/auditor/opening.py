"""Whom the auditor trusts, and the checkpoint of a trail opened under it."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.errors import HubError, Malformed
from domain.trail.anchors import StampChecking
from domain.trail.notes import NoteVerifying
from domain.trail.quorum import NONE, Policy, Witnessed, open_checkpoint
from domain.trail.replay import Claim, Keys, Replay
from services.auditor.mapping import MapsBeside
from services.auditor.report import Report
from services.trail.source import Source
from services.trust import Trust

CHECKPOINT = "CHECKPOINT"


class SignaturePool(Protocol):
    """Verifies signatures beside the caller."""

    def submit(self, claims: Sequence[Claim]) -> Callable[[], bytes]:
        """Return what gives, when it is there, a byte for each signature: 1 if it holds, or 0."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the auditor's work needs from outside."""

    verifying: NoteVerifying
    pool: SignaturePool
    maps: MapsBeside
    keys: Callable[[Trust], Keys]
    """Pins -> whose keys stand behind actors; no registry fact is known yet."""
    type_name: Callable[[int], str]
    """Number of an event type -> its full name; empty if the published schemas have none."""
    stamps: StampChecking | None = None
    """Checks time-stamps, where the auditor said whose authority to trust."""
    progress: Callable[[int, int], None] = lambda done, size: None
    """Told how many entries of how many are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """The auditor's own copies of whom to trust; None where there is none."""

    policy: bytes | None = None
    trust: bytes | None = None

    def of(self, policy: bytes, trust: bytes, report: Report) -> "Trusted":
        """Return whom to trust, given the copies that came with what is audited.

        `Malformed` POLICY or TRUST, also when the two are not of one log. The report says where
        they are from.
        """
        for name, own, theirs in (
            ("policy", self.policy, policy),
            ("trust.json", self.trust, trust),
        ):
            if own is None:
                digest = hashlib.sha256(theirs).hexdigest()
                report.notes.append(
                    f"{name} came with what is audited; compare its SHA-256 with a copy of your"
                    f" own: {digest}"
                )
            elif own != theirs:
                report.notes.append(f"yours is another {name} than came with it; yours counts")
        read = Policy.parse(policy if self.policy is None else self.policy)
        trusted = Trusted(read, Trust.loads(trust if self.trust is None else self.trust))
        if trusted.trust.log not in [key.text for key in read.log_keys]:
            raise Malformed("POLICY", "the policy does not name the log that trust.json pins")
        return trusted


@dataclass(frozen=True, slots=True)
class Trusted:
    """Whom the verdict rests on."""

    policy: Policy
    trust: Trust

    def replay(self, keys: Keys) -> Replay:
        """Return a replay before the first leaf."""
        return Replay(keys=keys, notary=self.trust.notary)


def own_or_its(source: Source, own: Own, report: Report) -> Trusted:
    """Return whom to trust, with the source's copies where the auditor has none."""
    policy = own.policy if own.policy is not None else source.text("policy")
    trust = own.trust if own.trust is not None else source.text("trust.json")
    return own.of(policy, trust, report)


def opened(note: bytes, policy: Policy, tools: Tools, report: Report) -> Witnessed | None:
    """Return the checkpoint in `note`; None, and a finding, if it does not hold.

    `Malformed` when it cannot be read at all.
    """
    if policy.quorum == NONE:
        report.notes.append("the policy asks for no witness: others may be shown another log")
    try:
        witnessed = open_checkpoint(note, policy, tools.verifying)
    except Malformed as e:
        raise Malformed(e.code, f"the checkpoint cannot be read: {e.message}") from e
    except HubError as e:
        report.find(CHECKPOINT, str(e))
        return None
    report.checkpoint, report.cosigned_s = witnessed
    by = ", ".join(sorted(witnessed.cosigned_s)) or "no witness"
    report.holds(CHECKPOINT, f"signed by the log, cosigned by {by}; the policy asks for no more")
    return witnessed
