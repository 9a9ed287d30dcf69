"""An invented mechanism for the bench: agencies that sign, and the cases they write.

The actions are the real ones, made by the gateway's own sealer; only the deposits of data
keys, which go to the custodian and never to the hub, are left empty.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any
from uuid import uuid4

from adapters.sealing import CryptographySealing
from domain import events as ev
from domain.action import Action
from domain.agency import OPENING_KEY_SIZE
from domain.approval import approval_message
from domain.gateway import Command
from domain.record import Record
from domain.secret import Secret
from domain.standing import Key, Period
from domain.trail import statement
from domain.trail.statement import ZEROS
from services.bootstrap import COORDINATOR, CUSTODIAN, REGISTRARS, Parts, now_ms
from services.gateway.sealer import Office, Sealer, b64

DAY_MS = 86_400_000
OPENER_ROLES = {
    "police": ("investigation", "protection_support"),
    "first_responder": ("protection_support",),
}
PROVIDER_ROLES = {"service_provider": ("protection_support", "return_or_residence")}
CASE_ACTIONS = 11
"""Actions of a whole case: eight of the opener, three of the provider, keys included."""
OPENER_ACTIONS = 8

Sent = tuple[str, Action]
"""(agency, action)."""


class _NoDeposits(CryptographySealing):
    def wrap(self, opening_key: bytes, info: bytes, bundle: bytes) -> bytes:  # noqa: ARG002
        return b""


class Town:
    """Agencies by name, each with a signing key derived from its name."""

    def __init__(self, parts: Parts, openers: int, providers: int) -> None:
        """Two purposes an agency: openers are police and first responders, providers shelters."""
        self.parts = parts
        self.openers = [f"gb-opener-{n}" for n in range(openers)]
        self.providers = [f"gb-provider-{n}" for n in range(providers)]
        self.sealing = _NoDeposits()
        self._sealers: dict[str, Sealer] = {}

    def sealer(self, agency: str) -> Sealer:
        """Return what signs for `agency`, its chain continued from call to call."""
        if agency not in self._sealers:
            office = Office(
                agency=agency,
                hub=self.parts.settings.hub_id,
                signing_seed=self._seed(agency),
                opening_seed=Secret(bytes(32)),
                custodian=CUSTODIAN,
                custodian_opening_key=bytes(OPENING_KEY_SIZE),
                custodian_public_key=bytes(32),
            )
            self._sealers[agency] = Sealer(
                office=office,
                language=self.parts.language,
                sealing=self.sealing,
                signing=self.parts.signing,
                box=_NoBox(),
                clock=now_ms,
                policy=self.parts.world.policy_id,
                head=None,
            )
        return self._sealers[agency]

    def _seed(self, agency: str) -> Secret:
        if agency == COORDINATOR:
            return self.parts.secret(f"gateways/{COORDINATOR}", "signing")
        return Secret(sha256(f"bench {agency}".encode()).digest())

    def operator(self) -> Key:
        """Return the coordinator's key, which writes the registry."""
        key = self.sealer(COORDINATOR).public_key
        return Key(
            agency=COORDINATOR, signing_key=key, opening_key=b"", period=Period(starts=0)
        )

    def facts(self) -> list[Action]:
        """Return the registry facts that let every agency in, as the coordinator's actions."""
        about = [(COORDINATOR, {"nrm_coordinator": ("monitoring",)})]
        about += [(agency, OPENER_ROLES) for agency in self.openers]
        about += [(agency, PROVIDER_ROLES) for agency in self.providers]
        return [fact for agency, roles in about for fact in self._agency(agency, roles)]

    def _agency(self, agency: str, roles: dict[str, tuple[str, ...]]) -> Iterator[Action]:
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

    def _fact(self, type: str, /, **facts: Any) -> Action:
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
    def seal(self, clear: bytes, aad: bytes) -> bytes:  # noqa: ARG002
        return b""

    def open(self, sealed: bytes, aad: bytes) -> bytes:  # noqa: ARG002
        return b""


class WrittenCase:
    """One case as its agencies write it, action by action."""

    def __init__(self, town: Town, opener: str, provider: str) -> None:
        """Open a case of `opener`, to be referred to `provider`."""
        self.id = str(uuid4())
        self.consent_id = str(uuid4())
        self._town = town
        self._opener = opener
        self._provider = provider
        self._referral = str(uuid4())
        self._keys: dict[str, dict[int, tuple[int, bytes]]] = {opener: {}, provider: {}}
        self._after = ZEROS

    def steps(self) -> Iterator[list[Sent]]:
        """Yield the whole case; `CASE_ACTIONS` actions."""
        yield from self.opening()
        yield self._act(self._provider, "ReferralReceived", referral_id=self._referral)
        yield self._act(
            self._provider, "ReferralAccepted", referral_id=self._referral, starts_on="2026-12-01"
        )

    def opening(self) -> Iterator[list[Sent]]:
        """Yield the opener's part; `OPENER_ACTIONS` actions."""
        now = now_ms()
        yield self.open()
        yield self._act(self._opener, "PersonIdentityRecorded", **PERSON)
        yield self.notice()
        yield self._act(
            self._opener, "ConsentGiven", **consent(self.consent_id, self._provider, now)
        )
        yield self._act(self._opener, "ReferralSent", **referral(self._referral, self._provider, now))

    def open(self) -> list[Sent]:
        """Return CaseOpened, which the rules refuse the second time."""
        return self._act(self._opener, "CaseOpened", age_group="adult", reason="police_operation")

    def notice(self) -> list[Sent]:
        """Return one more notice, which may be given at any time."""
        return self._act(self._opener, "InformationNoticeGiven", **NOTICE)

    def _act(self, agency: str, name: str, **fields: Any) -> list[Sent]:
        sealer = self._town.sealer(agency)
        command = Command(
            command_id=str(uuid4()), type=name, case_id=self.id, fields=fields
        )
        made = sealer.make("", sealer.checked(command), self._keys[agency], self._after)
        actions = [outgoing.action for outgoing in made.outgoing]
        self._after = statement.digest(actions[-1].statement)
        return [(agency, action) for action in actions]


PERSON = {
    "given_names": ["Zxqv"],
    "family_names": ["Quux"],
    "other_names": [],
    "birth_date": "1999",
    "citizenships": ["PH"],
    "documents": [],
    "relatives": [],
}
NOTICE = {"notice": "n-1", "language": "en", "interpreter": False, "understood": True}


def consent(consent_id: str, agency: str, now: int) -> dict[str, Any]:
    """Return the fields of a consent that opens a case to `agency` for support."""
    return {
        "consent_id": consent_id,
        "referral_id": None,
        "recipient": {"agency": agency, "kind": None, "country": None},
        "purposes": ["protection_support"],
        "categories": ["IDENTITY", "CASEWORK", "PROTECTION"],
        "history": "all",
        "history_from": None,
        "not_before": now - 1_000,
        "not_after": now + 30 * DAY_MS,
        "basis": "consent",
        "given_by": "self",
        "guardian_id": None,
        "evidence": b64(sha256(consent_id.encode()).digest()),
        "words": "yes",
        "language": "en",
        "interpreter": False,
    }


def referral(referral_id: str, to: str, now: int) -> dict[str, Any]:
    """Return the fields of a referral to a shelter."""
    return {
        "referral_id": referral_id,
        "to": to,
        "purpose": "protection_support",
        "urgency": "routine",
        "answer_due_at": now + DAY_MS,
        "service": "accommodation",
        "reason": "needs a bed",
    }


def mixed(town: Town, cases: int, at_once: int = 200) -> Iterator[Sent]:
    """Yield the actions of `cases` whole cases, `at_once` of them being written in turn."""
    waiting = iter(range(cases))
    running = [_case(town, n).steps() for n, _ in zip(waiting, range(at_once), strict=False)]
    while running:
        going = []
        for case in running:
            step = next(case, None)
            if step is None:
                started = next(waiting, None)
                if started is not None:
                    going.append(_case(town, started).steps())
                continue
            yield from step
            going.append(case)
        running = going


def _case(town: Town, number: int) -> WrittenCase:
    openers, providers = town.openers, town.providers
    return WrittenCase(
        town, openers[number % len(openers)], providers[number * 7 % len(providers)]
    )


def by_sender(sent: Sequence[Sent]) -> Iterator[tuple[str, list[Action]]]:
    """Yield runs of actions of one agency, in order."""
    run: list[Action] = []
    for number, (agency, action) in enumerate(sent):
        run.append(action)
        if number + 1 == len(sent) or sent[number + 1][0] != agency:
            yield agency, run
            run = []
