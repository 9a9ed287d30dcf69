"""The AsyncAPI document: current, valid by AsyncAPI's own parser, and true of what is written."""

import json
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from adapters.kafka import asyncapi
from adapters.kafka.declaration import parse_declaration
from adapters.kafka.feed_topics import FeedFraming, FramedEntry
from adapters.kafka.framing import Framed, LogFraming
from adapters.kafka.names import Names
from adapters.kafka.refusals import RefusalFraming
from domain.messages import FeedItem, Shown
from domain.ports import Recorded, Refusal
from domain.publishing import FeedRecord
from domain.vocabulary import Purpose, Seat
from schemas.language import AvroLanguage
from tests.clients import node
from tests.schemas import golden

ROOT = Path(__file__).parents[2]
COMMITTED = (ROOT / asyncapi.DOCUMENT).read_text("utf-8")
DOCUMENT = json.loads(COMMITTED)
DECLARATION = parse_declaration((ROOT / asyncapi.DECLARATION).read_text("utf-8"))
LANGUAGE, NAMES = AvroLanguage(), Names("nrm:xa")
SEAT = Seat("xa-shelter", Purpose.PROTECTION_SUPPORT)
TYPE = "nrm.v1.ReferralSent"
HEAD = golden.read(TYPE)["values"]["head"]
SIGNED: dict[str, Any] = {"statement": bytes(286), "signature": bytes(64), "recorded_ms": 1}


def test_the_committed_document_is_what_schemas_and_topics_say() -> None:
    assert asyncapi.text(DECLARATION) == COMMITTED, "run python -m adapters.kafka.asyncapi"


DAMAGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no partitions": lambda d: d["channels"]["log"]["bindings"]["kafka"].update(partitions=0),
    "a message that is not there": lambda d: d["channels"]["log"]["messages"].update(
        x={"$ref": "#/components/messages/none"}
    ),
    "a schema that is none": lambda d: d["components"]["schemas"][TYPE]["schema"]["fields"].append(
        {"name": "x", "type": 5}
    ),
}


@pytest.fixture(scope="module")
def verdicts() -> dict[str, dict[str, Any]]:
    """What AsyncAPI's own parser finds in the document, and in damaged ones."""
    node.installed()
    documents = {"ours": DOCUMENT}
    for name, damage in DAMAGES.items():
        documents[name] = json.loads(COMMITTED)
        damage(documents[name])
    found = node.run("validate.mjs", given=json.dumps([*documents.values()]), seconds=280)
    return dict(zip(documents, found, strict=True))


def test_asyncapis_own_parser_finds_no_fault(verdicts: dict[str, dict[str, Any]]) -> None:
    ours = verdicts["ours"]

    assert [d for d in ours["diagnostics"] if d["code"] != "asyncapi-latest-version"] == []
    assert (ours["channels"], ours["messages"]) == (3, 2 * len(LANGUAGE.types()) + 2)


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_parser_would_find_a_fault(damage: str, verdicts: dict[str, dict[str, Any]]) -> None:
    assert any(d["severity"] == 0 for d in verdicts[damage]["diagnostics"])


def test_every_released_schema_is_in_it_under_its_number() -> None:
    messages, schemas = DOCUMENT["components"]["messages"], DOCUMENT["components"]["schemas"]

    for shown in LANGUAGE.published():
        assert schemas[shown.subject]["schema"] == json.loads(shown.schema)
        carried = [m for m in messages.values() if m["name"] == shown.subject]
        assert {m["x-schema-id"] for m in carried} == {shown.number}
        assert len(carried) == (1 if shown.subject == "nrm.v1.ActionRefused" else 2)


def written() -> dict[str, Framed | FramedEntry]:
    """Return a record of each channel as the relays write it."""
    kept = golden.read(TYPE)
    event = Recorded(
        position=1,
        event_id=HEAD["event_id"],
        case_id=HEAD["case_id"],
        version=1,
        type=TYPE,
        body=b64decode(kept["body"]),
        **SIGNED,
    )
    shown = Shown(type=TYPE, record=b64decode(kept["withheld"]), **SIGNED)
    item = FeedItem(lane=0, seq=2, supersedes=1, categories=(), granted=(), basis="", event=shown)
    return {
        "log": LogFraming(LANGUAGE, NAMES).encode(event),
        "refusals": RefusalFraming(NAMES).encode(
            Refusal(event_id=HEAD["event_id"], code="STALE_EPOCH", number=1, **SIGNED)
        ),
        "feed": FeedFraming(LANGUAGE, NAMES).encode(
            FeedRecord(seat=SEAT, event_id=HEAD["event_id"], item=item)
        ),
    }


@pytest.mark.parametrize("channel", ["log", "refusals", "feed"])
def test_what_is_written_has_the_key_and_headers_that_it_describes(channel: str) -> None:
    trait = DOCUMENT["components"]["messageTraits"][channel]
    record = written()[channel]

    headers = {name: value.decode("latin-1") for name, value in record.headers}
    Draft202012Validator({**trait["headers"], "additionalProperties": False}).validate(headers)
    assert trait["headers"]["properties"].keys() == headers.keys()
    Draft202012Validator(
        trait["bindings"]["kafka"]["key"], format_checker=Draft202012Validator.FORMAT_CHECKER
    ).validate(record.key.decode())
    messages = DOCUMENT["channels"][channel]["messages"]
    reference = messages[headers["ce_type"]]["$ref"].rpartition("/")[2]
    number = int.from_bytes(record.value[1:5], "big")
    assert DOCUMENT["components"]["messages"][reference]["x-schema-id"] == number


def test_its_topics_are_those_that_are_declared() -> None:
    wanted = DECLARATION.expand(NAMES, 3, [SEAT])
    given = {"hub": NAMES.prefix, "agency": SEAT.agency, "purpose": SEAT.purpose}
    described = {
        channel["address"].format(**given): channel["bindings"]["kafka"]
        for channel in DOCUMENT["channels"].values()
    }

    declared = {t.name: t for t in wanted.topics if t.name != NAMES.position}
    assert described.keys() == declared.keys()
    for name, topic in declared.items():
        binding = described[name]
        assert (binding["partitions"], binding["replicas"]) == (topic.partitions, topic.replication)
        for setting, value in binding["topicConfiguration"].items():
            said = ",".join(value) if isinstance(value, list) else str(value)
            assert said == topic.config[setting]
