"""What the independent clients share: one feed on a real broker and our registry over HTTP."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from starlette.applications import Starlette

from services.http.registry import registry_app
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from tests.clients.feed import LANGUAGE, Feed, publish
from tests.clients.serving import serving


@pytest.fixture(scope="session")
def feed_hub() -> str:
    """Id of the hub whose feed the clients read."""
    return f"nrm:t{uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def feed(brokers: Brokers | GivenBrokers, feed_hub: str) -> Feed:
    """The feed, written once: the clients only read it."""
    return publish(brokers, feed_hub)


@pytest.fixture(scope="session")
def registry() -> Iterator[str]:
    """Base address of our registry, as a hub serves it."""
    app = Starlette()
    app.mount("/registry", registry_app(LANGUAGE))
    with serving(app) as address:
        yield f"{address}/registry"
