"""A signed trail as an auditor gets it, with policy and pins; and a bundle taken from it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adapters.evidence import verify as verify_py
from domain.errors import Malformed
from domain.trail.checkpoint import sign
from domain.trail.notes import Note
from services.auditor.bundling import bundle
from services.auditor.evidence import check_bundle
from services.auditor.opening import Own, Tools
from services.auditor.report import Report
from services.auditor.verifying import verify
from services.bootstrap.auditor import auditor_tools, enclosed, source_of
from services.trail.keeping import StateFile
from services.trail.source import Source
from services.trust import Trust
from tests.trail.signed import CASE, NOTARY, OPERATOR, REGISTRARS, SignedTrail, public
from tests.witnessed import witness_signer

COURT: Any = verify_py
"""It has no types: it is read aloud."""
WITNESSES = ("rapporteur.example/witness", "neighbour.example/witness")
SEEN_S = 1_780_304_400
"""When both witnesses saw the checkpoint."""


def policy_of(trail: SignedTrail) -> bytes:
    """Return a policy that asks for both witnesses."""
    names = [f"w{number}" for number, _ in enumerate(WITNESSES)]
    lines = [f"log {trail.log.vkey.text}"]
    signers = [witness_signer(witness) for witness in WITNESSES]
    lines += [f"witness {n} {s.key.text}" for n, s in zip(names, signers, strict=True)]
    lines += [f"group both all {' '.join(names)}", "quorum both"]
    return "".join(f"{line}\n" for line in lines).encode()


def pins(trail: SignedTrail) -> Trust:
    """Return whom an auditor of this trail trusts."""
    return Trust(
        hub="nrm:xa",
        registrars={r: public(r) for r in REGISTRARS},
        operator=public(OPERATOR),
        custodian=public("custodian"),
        custodian_opening=public("opening") * 38,
        notary=public(NOTARY),
        log=trail.log.vkey.text,
    )


def trust_of(trail: SignedTrail) -> bytes:
    """Return the pins of this trail as a file."""
    return pins(trail).dumps().encode()


def cosigned(trail: SignedTrail, witnesses: tuple[str, ...] = WITNESSES) -> bytes:
    """Return the checkpoint with the log's signature and those of `witnesses`."""
    signers = [trail.log.signer, *map(witness_signer, witnesses)]
    lines = tuple(sign(trail.checkpoint, signer, SEEN_S) for signer in signers)
    return Note(trail.checkpoint.text, lines).encode()


def write(folder: Path, trail: SignedTrail) -> Source:
    """Write the trail as the notary does; return it as an auditor reads it."""
    folder.mkdir(exist_ok=True)
    trail.write(folder)
    (folder / "checkpoint").write_bytes(cosigned(trail))
    (folder / "log.vkey").write_text(f"{trail.log.vkey.text}\n")
    (folder / "policy").write_bytes(policy_of(trail))
    (folder / "trust.json").write_bytes(trust_of(trail))
    return source(folder)


def source(folder: Path) -> Source:
    return source_of(str(folder), str)


def own(trail: SignedTrail) -> Own:
    """Return an auditor's own copies of whom to trust."""
    return Own(policy=policy_of(trail), trust=trust_of(trail))


@contextlib.contextmanager
def tools() -> Iterator[Tools]:
    with auditor_tools(lambda _done, _size: None) as found:
        yield found


def verified(folder: Path, trail: SignedTrail, state: StateFile | None = None) -> Report:
    """Verify the log in `folder` under the pins of `trail`."""
    with tools() as used:
        return verify(source(folder), own(trail), used, state)


def bundled(folder: Path, trail: SignedTrail, *, bodies: bool = True) -> bytes:
    """Return the bundle of the case in the log in `folder`."""
    with tools() as used:
        report, data = bundle(source(folder), own(trail), used, CASE, enclosed(), bodies=bodies)
    assert report.findings == []
    return data


def checked(data: bytes, trail: SignedTrail) -> Report:
    """Verify a bundle with nrm-hub, under the pins of `trail`."""
    with tools() as used:
        return check_bundle(data, own(trail), used, "case.nrmtrail", enclosed().verifier)


def holds(data: bytes, pins: Own) -> bool:
    """Say whether a bundle holds by nrm-hub."""
    try:
        with tools() as used:
            return not check_bundle(data, pins, used, "x", enclosed().verifier).findings
    except Malformed:
        return False


def court_finds(data: bytes, pins: Own) -> str:
    """Return what verify.py finds wrong with a bundle; nothing if it holds."""
    try:
        COURT.verify(data, pins.policy, pins.trust, say=lambda _line: None)
    except COURT.Fails as e:
        return str(e)
    return ""


def in_court(data: bytes, trail: SignedTrail) -> str:
    """Return what verify.py finds wrong with a bundle under the pins of `trail`."""
    return court_finds(data, own(trail))


def checks(report: Report) -> set[str]:
    """Return which checks fail."""
    return {finding.check for finding in report.findings}
