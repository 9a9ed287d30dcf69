"""Servers that these tests may break, shared where one leaves them whole."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from services.local.postgres import Postgres
from tests.servers import running


@pytest.fixture(scope="session")
def own_postgres(server_folder: Path) -> Iterator[Postgres]:
    """A PostgreSQL server that a test may kill, and starts again before it ends."""
    with running("PostgreSQL", lambda: Postgres(server_folder / "broken")) as server:
        yield server


@pytest.fixture
def own_database(own_postgres: Postgres) -> Iterator[str]:
    """Address of an empty database on that server."""
    name = f"nrm_t{uuid4().hex}"
    yield own_postgres.create_database(name)
    own_postgres.drop_database(name)
