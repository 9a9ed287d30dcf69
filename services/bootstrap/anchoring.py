"""The wiring of time-stamps: had by the notary, checked by the auditor."""

from pathlib import Path

from adapters.timestamps import HttpTsa, Rfc3161Checks
from domain.errors import Malformed
from domain.notary import TrailFiles
from services.bootstrap.parts import Parts, now_ms
from services.notary.anchoring import Anchoring


def build_anchoring(parts: Parts, files: TrailFiles) -> Anchoring | None:
    """Return what has checkpoints time-stamped, if an authority is set."""
    settings = parts.settings
    if settings.tsa_ca is None:
        return None
    tsa = HttpTsa(settings.tsa_url, stamp_checks(settings.tsa_ca))
    return Anchoring(files, tsa, now_ms, settings.tsa_seconds)


def stamp_checks(certificates: Path) -> Rfc3161Checks:
    """Return what checks time-stamps under a PEM file; `Malformed` TSA_CA if it is none."""
    try:
        return Rfc3161Checks(certificates.read_bytes())
    except OSError as e:
        raise Malformed("TSA_CA", f"{certificates} cannot be read: {e.strerror}") from e
