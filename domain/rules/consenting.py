"""Rules of consent acts: what may be recorded as the person's word, by whom.

An act counts only when recorded by an agency that has a settled part in the case, and that
part may not rest on the very act it records. Taking back a consent is as easy as giving it;
taking back a refusal opens, and is held to the rules of giving.
"""

from domain import events as ev
from domain.case import Case
from domain.consent import STATUTORY, Act, Basis, names
from domain.errors import Refused
from domain.events import ConsentEvent
from domain.rules.world import World
from domain.vocabulary import CRIMINAL_JUSTICE, Purpose, mask_of

_PURPOSES = frozenset(Purpose)
_DAY_MS = 86_400_000


def check(event: ConsentEvent, case: Case, world: World, at: int) -> None:
    """Refuse `event` if it is no valid act in `case` at `at` (ms)."""
    match event:
        case ev.ConsentGiven():
            _settled(event.head.agency, case)
            _given(event, case, world, at)
        case ev.ConsentRefused():
            _fresh(event.consent_id, case)
            _selector(event.recipient)
            _scope(event.purposes, event.categories, whole=True)
        case ev.ConsentNarrowed():
            act = _standing_consent(event.consent_id, case)
            _scope(event.purposes, event.categories, whole=False)
            _not_wider(event, act)
        case ev.ConsentRenewed():
            _settled(event.head.agency, case)
            act = _standing_consent(event.consent_id, case)
            _own_ground(event.head.agency, act, case, world, at)
            _period(at, event.not_after, act.basis, world)
        case ev.ConsentExpired():
            act = _standing_consent(event.consent_id, case)
            if act.not_after is None or at < act.not_after:
                raise Refused("NOT_DUE", "the act still holds")
        case ev.ConsentWithdrawn():
            _withdrawn(event, case, world, at)


def _given(event: ev.ConsentGiven, case: Case, world: World, at: int) -> None:
    _fresh(event.consent_id, case)
    _selector(event.recipient)
    _scope(event.purposes, event.categories, whole=False)
    criminal = CRIMINAL_JUSTICE.intersection(event.purposes)
    if criminal and not CRIMINAL_JUSTICE.issuperset(event.purposes):
        raise Refused("BUNDLED_CONSENT", "cooperation with police is an act of its own")
    if event.not_before >= event.not_after:
        raise Refused("PERIOD_EMPTY", "the act must end after it begins")
    _basis(event, case, world, at)
    _period(max(at, event.not_before), event.not_after, event.basis, world)


def _basis(event: ev.ConsentGiven, case: Case, world: World, at: int) -> None:
    recorders = world.policy.bases.get(event.basis)
    if recorders is None or event.basis == Basis.VITAL_INTEREST:
        raise Refused("BASIS_UNKNOWN", "this basis cannot be recorded as an act of consent")
    if not recorders.intersection(world.standing(event.head.agency, at).roles):
        raise Refused("BASIS_NOT_YOURS", "your role may not record an act on this basis")
    informed = event.basis in STATUTORY or case.notices
    if not informed:
        raise Refused("NOT_INFORMED", "give the information notice before you ask for consent")


def _period(starts: int, not_after: int, basis: str, world: World) -> None:
    if not_after <= starts:
        raise Refused("PERIOD_EMPTY", "the act must end in the future")
    if basis not in STATUTORY and not_after - starts > world.policy.consent_max_days * _DAY_MS:
        raise Refused(
            "CONSENT_TOO_LONG", f"at most {world.policy.consent_max_days} days, then renew"
        )


def _withdrawn(event: ev.ConsentWithdrawn, case: Case, world: World, at: int) -> None:
    if event.consent_id is None:
        if not any(act.permit for act in case.acts.values()):
            raise Refused("ALREADY_DONE", "no consent stands in this case")
    elif event.consent_id in case.ended_acts:
        raise Refused("ALREADY_DONE", "the act was taken back already")
    elif event.consent_id not in case.acts:
        raise Refused("CONSENT_UNKNOWN", "no such act in this case")
    elif not case.acts[event.consent_id].permit:
        _lifted(event.head.agency, case.acts[event.consent_id], case, world, at)


def _lifted(agency: str, refusal: Act, case: Case, world: World, at: int) -> None:
    """Refuse to take back a refusal, which opens as a consent does, to who may not give one."""
    _settled(agency, case)
    if _named(refusal, agency, world, at):
        raise Refused("REFUSAL_NAMES_YOU", "another agency of the case must record this")


def _not_wider(event: ev.ConsentNarrowed, act: Act) -> None:
    narrower = act.purposes.issuperset(event.purposes)
    if not narrower or mask_of(event.categories) & ~act.categories:
        raise Refused("WIDER_THAN_BEFORE", "a narrowing never adds; record a new consent")


def _settled(agency: str, case: Case) -> None:
    if agency not in case.settled_parts:
        raise Refused(
            "RECORDER_HAS_NO_PART", "accept a referral in this case before you record consent"
        )


def _own_ground(agency: str, act: Act, case: Case, world: World, at: int) -> None:
    """Refuse an agency to prolong the act that alone lets it in."""
    has_other_ground = agency in (case.opened_by, case.authority)
    if _named(act, agency, world, at) and not has_other_ground:
        raise Refused("PART_RESTS_ON_ACT", "another agency of the case must record this")


def _named(act: Act, agency: str, world: World, at: int) -> bool:
    standing = world.standing(agency, at)
    return names(act.recipient, standing, standing.roles)


def _fresh(consent_id: str, case: Case) -> None:
    if consent_id in case.acts or consent_id in case.ended_acts:
        raise Refused(
            "CONSENT_ID_TAKEN", "use a new consent id; consent after withdrawal is a new act"
        )


def _standing_consent(consent_id: str, case: Case) -> Act:
    act = case.acts.get(consent_id)
    if act is None or not act.permit:
        raise Refused("CONSENT_UNKNOWN", "no such consent stands in this case")
    return act


def _selector(recipient: ev.Recipient) -> None:
    if not (recipient.agency or recipient.kind or recipient.country):
        raise Refused(
            "RECIPIENT_MISSING", "name an agency, a kind or a country; nobody is not everybody"
        )


def _scope(purposes: tuple[str, ...], categories: tuple[str, ...], *, whole: bool) -> None:
    """Check the scope; a refusal may leave a part empty, which means all of it (`whole`)."""
    if not _PURPOSES.issuperset(purposes):
        raise Refused("PURPOSE_UNKNOWN", "use the purposes of the vocabulary")
    if mask_of(categories).bit_count() != len(set(categories)):
        raise Refused("CATEGORY_UNKNOWN", "use the sealed categories of the vocabulary")
    if not whole and not (purposes and categories):
        raise Refused("EMPTY_CONSENT", "name at least one purpose and one category")
