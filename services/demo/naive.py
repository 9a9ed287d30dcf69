"""A second, deliberately naive reading of the consent table, for the demo's check.

Plain sentences in the order of the prose, one seat and one category at a time. It shares the
data types with the real decision and no line of its code.
"""

from collections.abc import Mapping, Sequence

from domain.consent import Act, ConsentState, LegalBasis, Standing
from domain.vocabulary import Category, Seat


def allowed(  # noqa: PLR0912, PLR0917 - a list of rules, on purpose
    seat: Seat,
    category: Category,
    writer: str,
    recorded_ms: int,
    state: ConsentState,
    standing: Standing,
    ceilings: Mapping[tuple[str, str], int],
    legal_bases: Sequence[LegalBasis],
    home_country: str,
    at: int,
) -> bool:
    """Return whether `seat` may see `category` of an event of `writer` at `at` (milliseconds)."""
    roles = [role for role in standing.roles if seat.purpose in standing.roles[role]]
    acts = [act for act in state.acts if _holds(act, at)]

    # A suspended agency sees nothing, and nobody sees a case that is closed to all.
    if standing.agency != seat.agency or not standing.active or state.restricted:
        return False

    # An agency sees what it wrote.
    if writer == seat.agency:
        return True

    orders = []
    emergencies = []
    consents = []
    for act in acts:
        if act.permit and _about(act, seat, category, standing, state):
            if act.opens_from > recorded_ms:
                continue
            if act.basis == "vital_interest":
                emergencies.append(act)
            elif not act.evidence:
                continue
            elif act.basis in {"court_order", "legal_obligation", "best_interests"}:
                if _may_order(act):
                    orders.append(act)
            elif act.basis in {"consent", "guardian_consent"} and _may_give(act, state, at):
                consents.append(act)

    # Whom the person fears learns nothing; police and ambulance only when a life is in danger.
    if any(act.danger and not act.permit and _feared(act, standing) for act in acts):
        rescuer = "police" in standing.roles or "health" in standing.roles
        return rescuer and bool(roles) and bool(emergencies)

    # A court, a best-interests decision or a law outranks a refusal.
    if orders:
        return True
    for law in legal_bases:
        if standing.country != home_country:
            continue
        if law.role not in roles or seat.purpose not in law.purposes:
            continue
        if not _in(category, law.categories):
            continue
        if law.part_only and seat.agency not in state.parts:
            continue
        if law.when == "always" or law.when in state.happened:
            return True
        if law.when == "child" and state.child:
            return True

    # Nobody acts for a purpose that the agency was not designated for.
    if not roles:
        return False

    # Danger to life outranks a refusal too.
    if emergencies:
        return True

    # Consent opens no more than the role may see, not abroad, and only to who has a part.
    if not any(_in(category, ceilings.get((role, seat.purpose), 0)) for role in roles):
        return False
    if standing.country != home_country or seat.agency not in state.parts:
        return False

    # One refusal is enough; otherwise one consent is.
    for act in acts:
        if not act.permit and _about(act, seat, category, standing, state):
            return False
    return bool(consents)


def _in(category: Category, mask: int) -> bool:
    return (mask >> int(category)) % 2 == 1


def _holds(act: Act, at: int) -> bool:
    if at < act.not_before:
        return False
    if act.not_after is None:
        return not act.permit  # a consent always has an end
    return at < act.not_after


def _about(
    act: Act, seat: Seat, category: Category, standing: Standing, state: ConsentState
) -> bool:
    everything_if_empty = not act.permit
    if not _in(category, act.categories) and not (everything_if_empty and act.categories == 0):
        return False
    if seat.purpose not in act.purposes and not (everything_if_empty and len(act.purposes) == 0):
        return False
    to = act.recipient
    if to.agency is None and to.kind is None and to.country is None:
        return False
    if to.agency is not None and to.agency != seat.agency:
        return False
    if to.country is not None and to.country != standing.country:
        return False
    if to.kind is not None and seat.purpose not in standing.roles.get(to.kind, frozenset()):
        return False
    if act.referral_id is None:
        return True
    for referral in state.referrals:
        same = referral.id == act.referral_id and referral.purpose == seat.purpose
        if same and referral.receiver == seat.agency:
            return True
    return False


def _feared(act: Act, standing: Standing) -> bool:
    to = act.recipient
    if to.agency is None and to.kind is None and to.country is None:
        return False
    if to.agency is not None and to.agency != standing.agency:
        return False
    if to.country is not None and to.country != standing.country:
        return False
    return to.kind is None or to.kind in standing.roles


def _may_order(act: Act) -> bool:
    if act.basis == "best_interests" and act.given_by == "child_protection":
        return True
    return act.given_by == "court"


def _may_give(act: Act, state: ConsentState, at: int) -> bool:
    if act.given_by == "court":
        return True
    if act.given_by == "self":
        return not state.child
    if act.given_by == "legal_guardian" and not state.child:
        return False
    if act.given_by not in {"legal_guardian", "appointed_guardian"}:
        return False
    for guardian in state.guardians.values():
        if guardian.id == act.guardian_id and guardian.role == act.given_by:
            if guardian.conflicted or at < guardian.valid_from:
                return False
            return guardian.valid_to is None or at < guardian.valid_to
    return False
