"""An invented mechanism for the bench: agencies that sign, and the facts that let them in.

Actions are the real ones, made by the gateway's own sealer; only the deposits of data keys,
which go to the custodian and never to the hub, are left empty.
"""

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any
from uuid import uuid4

from adapters.sealing import CryptographySealing
from adapters.signing import Ed25519Signing
from domain import events as ev
from domain.action import Action
from domain.agency import OPENING_KEY_SIZE
from domain.approval import approval_message
from domain.gateway import Command
from domain.record import Record
from domain.secret import Secret
from domain.standing import Key, Period
from domain.trail.statement import ZEROS
from services.bootstrap import COORDINATOR, CUSTODIAN, REGISTRARS, Parts, now_ms
from services.gateway.sealer import Office, Sealer, b64

Roles = Mapping[str, tuple[str, ...]]
"""Role -> purposes that come with it."""
OPENER_ROLES: Roles = {
    "police": ("investigation", "protection_support"),
    "first_responder": ("protection_support",),
}
COORDINATOR_ROLES: Roles = {"nrm_coordinator": ("monitoring",)}
PROVIDER_ROLES: Roles = {"service_provider": ("protection_support", "return_or_residence")}


class _NoDeposits(CryptographySealing):
    def wrap(self, opening_key: bytes, info: bytes, bundle: bytes) -> bytes:
        return b""


class Town:
    """Agencies by name, each with a signing key derived from its name."""

    def __init__(self, parts: Parts, openers: int, providers: int) -> None:
        """Two purposes an agency: openers are police and first responders, providers shelters."""
        self.parts = parts
        self.openers = [f"gb-opener-{n}" for n in range(openers)]
        self.providers = [f"gb-provider-{n}" for n in range(providers)]
        self._sealing = _NoDeposits()
        self._signing = Ed25519Signing(cached_keys=1 + openers + providers)
        self._sealers: dict[str, Sealer] = {}

    def sealer(self, agency: str) -> Sealer:
        """Return what signs for `agency`, its chain continued from call to call."""
        if agency not in self._sealers:
            office = Office(
                agency=agency,
                hub=self.parts.settings.hub_id,
                signing_seed=self.seed(agency),
                opening_seed=Secret(bytes(32)),
                custodian=CUSTODIAN,
                custodian_opening_key=bytes(OPENING_KEY_SIZE),
                custodian_public_key=bytes(32),
            )
            self._sealers[agency] = Sealer(
                office=office,
                language=self.parts.language,
                sealing=self._sealing,
                signing=self._signing,
                box=_NoBox(),
                clock=now_ms,
                policy=self.parts.world.policy_id,
                head=None,
            )
        return self._sealers[agency]

    def seed(self, agency: str) -> Secret:
        """Return the seed of an agency's signing key."""
        if agency == COORDINATOR:
            return self.parts.secret(f"gateways/{COORDINATOR}", "signing")
        return Secret(sha256(f"bench {agency}".encode()).digest())

    def operator(self) -> Key:
        """Return the coordinator's key, which writes the registry."""
        key = self.sealer(COORDINATOR).public_key
        return Key(agency=COORDINATOR, signing_key=key, opening_key=b"", period=Period(starts=0))

    def facts(self) -> list[Action]:
        """Return the registry facts that let every agency in, as the coordinator's actions."""
        about = [(COORDINATOR, COORDINATOR_ROLES)]
        about += [(agency, OPENER_ROLES) for agency in self.openers]
        about += [(agency, PROVIDER_ROLES) for agency in self.providers]
        return [fact for agency, roles in about for fact in self._agency(agency, roles)]

    def _agency(self, agency: str, roles: Roles) -> Iterator[Action]:
        yield self._fact("AgencyRegistered", agency=agency, name=agency, country="GB")
        for role, purposes in roles.items():
            yield self._fact(
                "AgencyDesignated",
                agency=agency,
                role=role,
                purposes=list(purposes),
                valid_from=0,
                valid_to=None,
                designated_by="bench",
            )
        yield self._fact(
            "AgencyKeyPublished",
            agency=agency,
            signing_key=b64(self.sealer(agency).public_key),
            opening_key=b64(sha256(agency.encode()).digest() * (OPENING_KEY_SIZE // 32)),
            valid_from=0,
            previous=None,
            previous_signature=None,
        )

    def rotation(self, agency: str) -> Action:
        """Return the fact that an agency has a new key, signed by the one that it replaces."""
        sign, old = self.parts.signing.sign, self.seed(agency).reveal()
        return self._fact(
            "AgencyKeyPublished",
            lambda message: sign(old, message),
            agency=agency,
            signing_key=b64(self.parts.signing.public_key(sha256(b"new " + old).digest())),
            opening_key=b64(sha256(old).digest() * (OPENING_KEY_SIZE // 32)),
            valid_from=0,
            previous=b64(sha256(self.sealer(agency).public_key).digest()),
            previous_signature=None,
        )

    def _fact(
        self, type: str, by_previous: Callable[[bytes], bytes] | None = None, /, **facts: Any
    ) -> Action:
        sealer, parts = self.sealer(COORDINATOR), self.parts
        command = Command(
            command_id=str(uuid4()),
            type=type,
            case_id=ev.REGISTRY_STREAM,
            fields={**facts, "approvals": []},
            legal_basis="registry",
        )
        checked = sealer.checked(command)
        message = approval_message(parts.language.event(Record(checked.type, checked.fields)))  # type: ignore[arg-type] # a registry fact
        if by_previous is not None:
            facts["previous_signature"] = b64(by_previous(message))
        approvals = [
            {
                "registrar": name,
                "signature": b64(
                    parts.signing.sign(
                        parts.secret(f"registrars/{name}", "signing").reveal(), message
                    )
                ),
            }
            for name in REGISTRARS
        ]
        checked = sealer.again(checked, {**facts, "approvals": approvals})
        return sealer.make("", checked, {}, ZEROS).outgoing[0].action


class _NoBox:
    def seal(self, clear: bytes, aad: bytes) -> bytes:
        return b""

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        return b""
