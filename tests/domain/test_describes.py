"""A statement over a body that was checked before: one hash tells whether they belong together."""

import pytest

from domain.errors import Malformed
from domain.trail.describes import check_describes_body
from domain.trail.statement import Kind, Statement, stream_tag
from tests.agencies import sha
from tests.builders import CASE, uid
from tests.contracts.making import statement

BODY = b"payload of one"
SAID = Statement.decode(statement("one"))._replace(payload=sha("payload of one"))


def test_a_statement_describes_its_own_body() -> None:
    check_describes_body(SAID.encode(), SAID.type, BODY, CASE)


@pytest.mark.parametrize(
    "said",
    [
        SAID._replace(payload=sha("another")),
        SAID._replace(type=SAID.type + 1),
        SAID._replace(stream=stream_tag(uid("another case"))),
        SAID._replace(kind=Kind.DISCLOSURE),
    ],
)
def test_a_statement_about_something_else_does_not(said: Statement) -> None:
    with pytest.raises(Malformed, match="STATEMENT_MISMATCH"):
        check_describes_body(said.encode(), SAID.type, BODY, CASE)


@pytest.mark.parametrize("said", [b"", b"\x02" + SAID.encode()[1:], SAID.encode() + b"\x00"])
def test_bytes_that_are_no_statement_describe_nothing(said: bytes) -> None:
    with pytest.raises(Malformed, match="STATEMENT_MISMATCH"):
        check_describes_body(said, SAID.type, BODY, CASE)
