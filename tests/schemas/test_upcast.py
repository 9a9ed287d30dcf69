"""Old versions stay readable for ever, as documents of the newest."""

from itertools import combinations

import pytest

from schemas.catalogue import sources
from schemas.upcast import STEPS, to_newest
from tests.schemas.builders import LANGUAGE, example, sealed_record

V1, V2 = "nrm.v1.SafeContactSet", "nrm.v2.SafeContactSet"


def test_an_old_document_reads_like_a_new_one() -> None:
    old = example(V1) | {"channel": "phone", "address": "0000"}
    fields = LANGUAGE.clear(V1, old)

    shown = LANGUAGE.opened(V1, {f.path: f.value for f in fields})

    assert shown["channels"] == [{"kind": "phone", "address": "0000", "safe": True}]
    assert LANGUAGE.clear(V2, shown)


def test_an_old_record_keeps_the_type_that_it_was_sealed_under() -> None:
    body = LANGUAGE.body(sealed_record(V1, example(V1)))

    record = LANGUAGE.record(V1, body)

    assert record.type == V1
    assert [f.path for f in record.fields] == [path for path, _ in LANGUAGE.shape(V1).fields]
    assert LANGUAGE.body(record) == body


PATHS = tuple(example(V1))


@pytest.mark.parametrize("n", range(len(PATHS) + 1))
def test_any_path_may_be_withheld_and_stays_absent(n: int) -> None:
    for paths in combinations(PATHS, n):
        old = {p: v for p, v in example(V1).items() if p in paths}

        new = to_newest(V1, old)

        kept = set(paths) - {"channel", "address"}
        assert set(new) == kept | ({"channels"} if {"channel", "address"} <= set(paths) else set())


def test_a_step_leaves_its_document_as_it_was() -> None:
    old = example(V1)

    to_newest(V1, old)

    assert old == example(V1)


def test_every_old_version_has_a_step_to_the_next() -> None:
    short = [t.rpartition(".")[2] for t in sources().events]
    old = {t for t in sources().events if LANGUAGE.newest(t.rpartition(".")[2]) != t}

    assert old == set(STEPS)
    assert short.count("SafeContactSet") == 2
    assert to_newest(V2, {"hours": None}) == {"hours": None}
