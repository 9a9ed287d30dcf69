"""The OpenAPI pages describe what is served, all of it."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from tests.services.running import POLICE, World, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with running(tmp_path_factory.mktemp("mechanism")) as world:
        yield world


@pytest.mark.parametrize("face", ["hub", "registry", "custodian", "gateway"])
async def test_every_operation_is_described_and_guarded_as_it_says(world: World, face: str) -> None:
    mechanism = world.mechanism
    address = {
        "hub": mechanism.hub_address,
        "registry": mechanism.hub_address + "/registry",
        "custodian": mechanism.custodian_address,
        "gateway": mechanism.offices[POLICE].address,
    }[face]
    async with aiohttp.ClientSession() as session:
        async with session.get(address + "/openapi.json") as response:
            document = await response.json()
        async with session.get(address + "/docs") as page:
            assert page.status == 200
        assert len(document["paths"]) > 5
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                assert operation["summary"]
                guarded = "security" in operation
                async with session.request(
                    method, address + path.replace("{purpose}", "monitoring"), data=b"{}"
                ) as answer:
                    assert (answer.status == 401) == (guarded or path == "/oauth/token"), path
