"""The worked example: a small log and a bundle, every byte made from labels that are public."""

from pathlib import Path

from domain.trail import archive
from domain.trail.bundle import manifest
from domain.trail.statement import Kind
from tests import agencies as a
from tests.builders import uid
from tests.trail import audited
from tests.trail.signed import SignedTrail, delivery
from tests.vectors import key
from tests.witnessed import Log

FOLDER = Path(__file__).parents[1] / "vectors/trail_example"
BUNDLE = FOLDER / "case.nrmtrail"
BESIDE = ("README.txt", "verify.py")
"""What a bundle carries that is no evidence: it is held as it was when the example was made."""


def example() -> SignedTrail:
    """Two agencies; a case with a refused action, a disclosure, its receipt and a challenge."""
    trail = SignedTrail(Log("xa-hub.nrm.example/trail"))
    trail.agency(a.REFUGE)
    trail.agency(a.POLICE)
    trail.epoch()
    opened = trail.add(a.POLICE, body=b"the sealed record of the opening")
    trail.add(a.REFUGE, body=b"the sealed record of what is refused", code="CONSENT_MISSING")
    trail.add(a.POLICE, body=b"of another case", case_id=uid("another case"))
    trail.epoch()
    first, second = delivery(1, event=opened), delivery(2)
    disclosed = trail.disclose(first, second)
    trail.epoch()
    trail.receive(a.REFUGE, disclosed, first, second)
    trail.add(a.POLICE, Kind.AUDIT, body=key("nonce"))
    trail.epoch()
    return trail


def files(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder by its path in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def made(folder: Path, beside: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files of the example, made anew in `folder`; the bundle with `beside` in it."""
    trail = example()
    audited.write(folder, trail)
    members = archive.decode(audited.bundled(folder, trail)) | beside
    del members["MANIFEST"]
    bundle = archive.encode({**members, "MANIFEST": manifest(members)})
    return {**files(folder), BUNDLE.name: bundle}
