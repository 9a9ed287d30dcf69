"""The quick read of a body that was accepted: the same event as the careful one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import Malformed
from tests.schemas.builders import LANGUAGE, TYPES, documents, sealed_record


@settings(max_examples=150)
@given(st.sampled_from(TYPES).flatmap(lambda t: st.tuples(st.just(t), documents(t))))
def test_the_quick_read_and_the_careful_one_agree(typed: tuple[str, dict[str, object]]) -> None:
    record = sealed_record(*typed)
    body = LANGUAGE.body(record)
    assert LANGUAGE.routing(record.type, body) == LANGUAGE.event(record)


@pytest.mark.parametrize("type", TYPES)
def test_bytes_that_end_too_soon_are_refused(type: str) -> None:
    with pytest.raises(Malformed):
        LANGUAGE.routing(type, b"\x02")


def test_a_type_that_is_not_published_is_refused() -> None:
    with pytest.raises(Malformed, match="UNKNOWN_EVENT"):
        LANGUAGE.routing("nrm.v1.Nothing", b"")
