"""Keys without holding one: epochs that only go on, headers that say what they should."""

import pytest

from domain.case import Case
from domain.errors import Refused
from domain.record import Field, Record, field_digest
from domain.rules.keys import check_sealed, next_epoch
from domain.sealing import SLOTS, header
from domain.vocabulary import SEALED, Category
from tests.agencies import CHARITY, POLICE, REFUGE, SHELTER, T0
from tests.builders import (
    consent_given,
    consent_narrowed,
    consent_refused,
    consent_withdrawn,
    guardian_appointed,
    guardian_conflict,
    keys_opened,
    referral_declined,
)
from tests.spec import Given, accepted, child, consented, given, refusal_of, sent

IDENTITY, CONTACT, HEALTH = Category.IDENTITY, Category.CONTACT, Category.HEALTH
EVERY = tuple((int(c), 1) for c in SEALED)


def sealed(category: Category, epoch: int, floor: int) -> bytes:
    """Bytes in the form of a sealed field: header, nonce, one bucket, tag."""
    return header(category, epoch) + bytes(12 + floor + 16)


def record(*fields: Field) -> Record:
    routing = Field("head", Category.ROUTING, b"in clear")
    return Record("nrm.v1.PersonIdentityRecorded", (routing, *fields))


def identity(epoch: int) -> Record:
    return record(Field("name", IDENTITY, sealed(IDENTITY, epoch, 64)))


def check(written: Record, writer: str, case: Case) -> str | None:
    """Return the code with which the record is refused; None when it is not."""
    try:
        check_sealed(written, writer, case)
    except Refused as refusal:
        return refusal.code
    return None


def everybody_wrote() -> Given:
    """Return an accepted referral in which both agencies opened a key of every category."""
    return accepted().then(keys_opened(CHARITY, *EVERY), keys_opened(SHELTER, *EVERY))


def test_epochs_of_a_category_are_counted_from_one_without_gaps() -> None:
    given().when(keys_opened(CHARITY, (1, 2))).refuses("EPOCH_NOT_NEXT")
    first = given().then(keys_opened(CHARITY, (1, 1), (2, 1)))
    first.when(keys_opened(CHARITY, (1, 1))).refuses("EPOCH_NOT_NEXT")
    first.when(keys_opened(CHARITY, (1, 3))).refuses("EPOCH_NOT_NEXT")
    first.when(keys_opened(CHARITY, (1, 2), (3, 1))).is_recorded()


def test_writers_count_their_epochs_apart() -> None:
    accepted().then(keys_opened(CHARITY)).when(keys_opened(SHELTER)).is_recorded()


def test_the_next_epoch_is_the_one_that_is_accepted() -> None:
    case = everybody_wrote().then(consent_withdrawn())
    epoch = next_epoch(case.case, CHARITY, IDENTITY)
    assert epoch == 2
    case.when(keys_opened(CHARITY, (IDENTITY, epoch))).is_recorded()


def test_keys_come_one_a_category_and_at_most_a_bundle_at_a_time() -> None:
    given().when(keys_opened(CHARITY, keys=())).refuses("KEY_COUNT")
    many = [(1, epoch) for epoch in range(1, SLOTS + 2)]
    given().when(keys_opened(CHARITY, *many)).refuses("KEY_COUNT")
    given().when(keys_opened(CHARITY, (1, 1), (1, 2))).refuses("KEY_TWICE")


@pytest.mark.parametrize("category", [0, 10, 255])
def test_keys_are_for_the_sealed_categories(category: int) -> None:
    given().when(keys_opened(CHARITY, (category, 1))).refuses("CATEGORY_UNKNOWN")


def test_a_record_under_an_opened_key_passes() -> None:
    assert check(identity(1), CHARITY, given(keys_opened()).case) is None


def test_a_record_before_its_key_does_not_pass() -> None:
    assert check(identity(1), CHARITY, consented().case) == "EPOCH_UNKNOWN"
    assert check(identity(2), CHARITY, given(keys_opened()).case) == "EPOCH_UNKNOWN"


def test_nobody_seals_under_the_key_of_another_writer() -> None:
    case = accepted().then(keys_opened(CHARITY)).case
    assert check(identity(1), SHELTER, case) == "EPOCH_UNKNOWN"


@pytest.mark.parametrize("writer", [CHARITY, SHELTER])
@pytest.mark.parametrize("category", [IDENTITY, CONTACT])
def test_after_a_withdrawal_every_writers_old_key_is_stale(writer: str, category: Category) -> None:
    floor = {IDENTITY: 64, CONTACT: 128}[category]
    old = record(Field("field", category, sealed(category, 1, floor)))
    before = everybody_wrote()
    assert check(old, writer, before.case) is None
    after = before.then(consent_withdrawn())
    assert check(old, writer, after.case) == "STALE_EPOCH"
    renewed = after.then(keys_opened(writer, (category, 2))).case
    assert (
        check(record(Field("field", category, sealed(category, 2, floor))), writer, renewed) is None
    )
    assert check(old, writer, renewed) == "STALE_EPOCH"


def test_a_category_that_the_consent_did_not_open_keeps_its_key() -> None:
    after = everybody_wrote().then(consent_withdrawn())
    health = record(Field("field", HEALTH, sealed(HEALTH, 1, 256)))
    assert check(health, CHARITY, after.case) is None


def test_who_first_writes_after_the_withdrawal_begins_at_one() -> None:
    after = accepted().then(consent_withdrawn(), keys_opened(CHARITY)).case
    assert check(identity(1), CHARITY, after) is None


def test_a_narrowing_makes_keys_of_what_was_open_stale() -> None:
    after = everybody_wrote().then(consent_narrowed())
    contact = record(Field("field", CONTACT, sealed(CONTACT, 1, 128)))
    assert check(contact, CHARITY, after.case) == "STALE_EPOCH"


def test_a_refusal_of_everything_makes_every_key_stale() -> None:
    after = everybody_wrote().then(consent_refused())
    assert set(after.case.min_epochs.values()) == {2}
    assert len(after.case.min_epochs) == 2 * len(SEALED)


def test_a_consent_that_keeps_the_past_shut_makes_new_data_need_a_new_key() -> None:
    from_now = consented().then(keys_opened())
    later = from_now.then(consent_given(consent_id="later", history="future"))
    assert check(identity(1), CHARITY, later.case) == "STALE_EPOCH"
    whole = from_now.then(consent_given(consent_id="whole", history="all"))
    assert check(identity(1), CHARITY, whole.case) is None


def test_a_receiver_that_drops_out_makes_every_key_stale() -> None:
    after = sent().then(keys_opened(), referral_declined())
    assert check(identity(1), CHARITY, after.case) == "STALE_EPOCH"


def test_a_guardians_conflict_makes_every_key_stale() -> None:
    opened = keys_opened("children", *EVERY)
    after = child().then(guardian_appointed(), opened, guardian_conflict())
    assert set(after.case.min_epochs.values()) == {2}


def test_a_field_in_clear_is_refused_without_being_quoted() -> None:
    clear = record(Field("name", IDENTITY, b"Amina Example, born 1999"))
    code, message = refusal_of(lambda: check_sealed(clear, CHARITY, given(keys_opened()).case))
    assert code == "BAD_HEADER"
    assert "Amina" not in message


def test_a_withheld_field_is_refused() -> None:
    hidden = Field("name", IDENTITY, field_digest("name", b"x"), withheld=True)
    assert check(record(hidden), CHARITY, given(keys_opened()).case) == "FIELD_WITHHELD"


def test_a_field_sealed_as_another_category_is_refused() -> None:
    case = given(keys_opened(CHARITY, *EVERY)).case
    as_health = record(Field("name", IDENTITY, sealed(HEALTH, 1, 256)))
    assert check(as_health, CHARITY, case) == "CATEGORY_MISMATCH"


def test_every_field_is_checked_not_the_first_alone() -> None:
    case = given(keys_opened(CHARITY, *EVERY)).case
    first = Field("name", IDENTITY, sealed(IDENTITY, 1, 64))
    second = Field("phone", CONTACT, sealed(CONTACT, 2, 128))
    assert check(record(first, second), CHARITY, case) == "EPOCH_UNKNOWN"


def test_a_record_of_routing_fields_alone_needs_no_key() -> None:
    assert check(record(), POLICE, Case(id="none")) is None


def test_a_stranger_opens_no_key_in_a_case() -> None:
    consented().when(keys_opened(REFUGE)).refuses("NO_SUCH_CASE")


def test_the_log_knows_a_key_by_its_commitment_and_its_time() -> None:
    case = given(keys_opened(CHARITY, (1, 1))).case
    opened = case.keys[CHARITY, 1, 1]
    assert (len(opened.commitment), opened.recorded_ms) == (32, T0)
