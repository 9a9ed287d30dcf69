"""The wiring of a challenge: an agency's key and its way to the notary."""

import secrets
from pathlib import Path

from adapters.http_challenges import HttpChallengeLink
from adapters.notes import NoteVerifier
from adapters.trail_source import address_of
from services.auditor.challenge import Challenger, challenge
from services.auditor.report import Report
from services.bootstrap.auditor import agency_keys, own_copies
from services.bootstrap.parts import Parts, now_ms

NONCE_SIZE = 32
_TRAIL = "/trail"


async def challenged(
    parts: Parts, agency: str, where: str, case_id: str, *, policy: Path | None, seconds: float
) -> Report:
    """Challenge the trail at the address `where` about a case, as `agency`.

    `Malformed` AGENCY_KEYS when its keys do not lie here, SOURCE when that is no address.
    """
    address_of(where)
    public, seed = agency_keys(parts, agency)
    challenger = Challenger(
        public_key=public,
        sign=lambda message: parts.signing.sign(seed.reveal(), message),
        verifying=NoteVerifier(),
        clock=now_ms,
        policy=own_copies(policy, None).policy,
        seconds=seconds,
    )
    link = HttpChallengeLink(where.rstrip("/").removesuffix(_TRAIL), agency, public, seed)
    try:
        return await challenge(link, challenger, case_id, secrets.token_bytes(NONCE_SIZE))
    finally:
        await link.close()
