"""A registry that is away or wrong: other clients get an error and go on; ours never ask it."""

import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from confluent_kafka.serialization import MessageField, SerializationContext
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from adapters.kafka.framing import frame
from services.http.registry import registry_app
from tests.clients.confluent import AvroDeserializer, SchemaRegistryClient
from tests.clients.feed import LANGUAGE
from tests.clients.serving import serving
from tests.schemas import golden

ALONE = """
import sys
def refuse(event, _):
    if event.startswith("socket."):
        raise AssertionError("a reader of ours opened a socket")
from adapters.kafka.feed_topics import FeedFraming
from adapters.kafka.framing import LogFraming, frame
from adapters.kafka.names import Names
from domain.messages import FeedItem, Shown
from domain.ports import Recorded
from domain.publishing import FeedRecord
from domain.vocabulary import Seat
from schemas.language import AvroLanguage
from tests.schemas import golden
from base64 import b64decode
sys.addaudithook(refuse)

language, names, seat = AvroLanguage(), Names("nrm:xa"), Seat("xa-a", "monitoring")
log, feed = LogFraming(language, names), FeedFraming(language, names)
for type in language.types():
    kept = golden.read(type)
    head, body = kept["values"]["head"], b64decode(kept["withheld"])
    event = Recorded(
        position=1, event_id=head["event_id"], case_id=head["case_id"], version=1, type=type,
        body=b64decode(kept["body"]), statement=bytes(286), signature=bytes(64), recorded_ms=1,
    )
    assert log.decode(*log.encode(event)) == event
    shown = Shown(type=type, record=body, statement=bytes(286), signature=bytes(64), recorded_ms=1)
    item = FeedItem(
        lane=0, seq=1, supersedes=None, categories=(), granted=(), basis="", event=shown
    )
    entry = FeedRecord(seat=seat, event_id=head["event_id"], item=item)
    assert feed.decode(seat, *feed.encode(entry)) == entry
    language.event(language.record(type, body))
print(len(language.types()))
"""
TYPE = "nrm.v1.ReferralSent"
CONTEXT = SerializationContext("nrm.xa.feed", MessageField.VALUE)


class Failing:
    """A registry in front of ours that can answer with an error, late, or with something else."""

    def __init__(self) -> None:
        self.mode = "well"
        self._well = Starlette()
        self._well.mount("/registry", registry_app(LANGUAGE))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match self.mode:
            case "well":
                await self._well(scope, receive, send)
            case "slow":
                await receive()
                await receive()
            case mode:
                status, body = {
                    "500": (500, b"<html>down</html>"),
                    "404": (404, b"<html>nothing here</html>"),
                    "other": (200, b'{"schema": "{}"}'),
                    "garbage": (200, b"\xff"),
                }[mode]
                await send({"type": "http.response.start", "status": status, "headers": []})
                await send({"type": "http.response.body", "body": body})


@pytest.fixture
def failing() -> Failing:
    return Failing()


@pytest.fixture
def client(failing: Failing) -> Iterator[SchemaRegistryClient]:
    with serving(failing) as address:
        options = {"url": f"{address}/registry", "timeout": 1, "max.retries": 0}
        with SchemaRegistryClient(options) as client:
            yield client


def test_our_own_readers_decode_everything_without_a_network() -> None:
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", ALONE],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert (done.returncode, done.stdout.strip()) == (0, str(len(LANGUAGE.types()))), done.stderr


@pytest.mark.parametrize("mode", ["500", "404", "other", "garbage", "slow"])
def test_another_client_gets_an_error_and_decodes_once_the_registry_is_well(
    mode: str, failing: Failing, client: SchemaRegistryClient
) -> None:
    body = b64decode(golden.read(TYPE)["body"])
    value = frame(LANGUAGE.shape(TYPE).number, body)
    decode = AvroDeserializer(client)

    failing.mode = mode
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the client makes of it
        decode(value, CONTEXT)

    failing.mode = "well"
    assert decode(value, CONTEXT)["urgency"] == golden.read(TYPE)["values"]["urgency"]


def test_a_registry_that_is_not_there_is_an_error_that_says_so() -> None:
    nowhere = {"url": "http://127.0.0.1:9/registry", "max.retries": 0}

    with SchemaRegistryClient(nowhere) as client, pytest.raises(httpx.ConnectError):
        AvroDeserializer(client)(frame(1, b"\0"), CONTEXT)
