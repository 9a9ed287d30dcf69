"""`python -m adapters.kafka.asyncapi`: write schemas/asyncapi.json, what a hub publishes on Kafka.

AsyncAPI 3.0 with Kafka bindings 0.5.0, made of the released schemas and the declared topics. One
document is every hub's: the hub's id, the agency and the purpose are parameters.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.kafka.channels import HEADERS, PARAMETERS, Channel, channels_of
from adapters.kafka.declaration import Declaration, parse_declaration
from adapters.kafka.feed_topics import HEARTBEAT, MORE_HEADERS
from adapters.kafka.framing import CONTENT_TYPE
from domain.published import PublishedSchema
from schemas.published import published

DECLARATION = Path("deploy", "kafka", "topics.toml")
DOCUMENT = Path("schemas", "asyncapi.json")
BINDING = "0.5.0"
"""Version of the Kafka bindings."""
AVRO = "application/vnd.apache.avro+json;version=1.9.0"
_CONFIG = ("retention.ms", "retention.bytes", "delete.retention.ms", "max.message.bytes")
"""Settings of a topic, all numbers, that the bindings have a place for."""
Json = dict[str, Any]


def document(declaration: Declaration, schemas: Sequence[PublishedSchema]) -> Json:
    """Return the AsyncAPI document of `schemas` on the topics of `declaration`."""
    channels = channels_of(declaration, schemas)
    return {
        "asyncapi": "3.0.0",
        "info": _info(),
        "defaultContentType": CONTENT_TYPE[1].decode(),
        "servers": {"kafka": _server()},
        "channels": {c.name: _channel(c) for c in channels},
        "operations": {
            f"publish_{c.name}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{c.name}"},
            }
            for c in channels
        },
        "components": _components(schemas, channels),
    }


def _info() -> Json:
    return {
        "title": "nrm-hub on Kafka",
        "version": "1.0.0",
        "description": (
            "What a national hub publishes: the log of every event, sealed field by field, and a "
            "feed for each seat (agency and purpose) with what that seat may see. A record's "
            "value is 0x00, the number of its schema in four bytes, and the Avro body of the "
            "sealed view; the hub's read-only schema registry has the schema under that number. "
            "A seat reads its own feed alone and writes nothing: agencies act over HTTP."
        ),
    }


def _server() -> Json:
    return {
        "host": "kafka.example.org:9093",
        "protocol": "kafka-secure",
        "description": "The brokers of one hub.",
        "security": [_ref("securitySchemes", "scram")],
        "bindings": {
            "kafka": {
                "schemaRegistryUrl": "https://hub.example.org/registry",
                "schemaRegistryVendor": "confluent",
                "bindingVersion": BINDING,
            }
        },
    }


def _channel(channel: Channel) -> Json:
    messages = {s.subject: _ref("messages", f"{channel.name}.{s.subject}") for s in channel.schemas}
    if channel.name == "feed":
        messages["heartbeat"] = _ref("messages", "heartbeat")
    return {
        "address": channel.address,
        "title": channel.name,
        "description": channel.said,
        "servers": [{"$ref": "#/servers/kafka"}],
        "parameters": {p: _ref("parameters", p) for p in channel.parameters},
        "messages": messages,
        "bindings": {"kafka": _topic(channel)},
    }


def _topic(channel: Channel) -> Json:
    config = channel.topic.config
    numbers = {name: int(config[name]) for name in _CONFIG if name in config}
    return {
        "partitions": channel.topic.partitions,
        "replicas": channel.replicas,
        "topicConfiguration": {"cleanup.policy": config["cleanup.policy"].split(","), **numbers},
        "bindingVersion": BINDING,
    }


def _components(schemas: Sequence[PublishedSchema], channels: Sequence[Channel]) -> Json:
    messages = {f"{c.name}.{s.subject}": _message(c, s) for c in channels for s in c.schemas}
    return {
        "parameters": PARAMETERS,
        "securitySchemes": {
            "scram": {"type": "scramSha512", "description": "One principal for each seat."}
        },
        "schemas": {
            s.subject: {"schemaFormat": AVRO, "schema": json.loads(s.schema)} for s in schemas
        },
        "messageTraits": {c.name: _trait(c) for c in channels},
        "messages": {**messages, "heartbeat": _heartbeat()},
    }


def _message(channel: Channel, schema: PublishedSchema) -> Json:
    return {
        "name": schema.subject,
        "title": schema.subject.rpartition(".")[2],
        "summary": json.loads(schema.schema)["doc"],
        "payload": _ref("schemas", schema.subject),
        "traits": [_ref("messageTraits", channel.name)],
        "x-schema-id": schema.number,
    }


def _trait(channel: Channel) -> Json:
    text = {"type": "string"}
    return {
        "contentType": CONTENT_TYPE[1].decode(),
        "headers": {
            "type": "object",
            "required": [name for name in channel.headers if name not in MORE_HEADERS],
            "properties": {n: {**text, "description": HEADERS[n]} for n in channel.headers},
        },
        "bindings": {
            "kafka": {
                "key": {**text, "format": "uuid", "description": channel.key},
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "4",
                "schemaLookupStrategy": "RecordIdStrategy",
                "bindingVersion": BINDING,
            }
        },
    }


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _heartbeat() -> Json:
    return {
        "name": "heartbeat",
        "title": "Heartbeat",
        "summary": "Says nothing: it makes the broker remove what newer records have replaced.",
        "payload": {"type": "null"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "const": HEARTBEAT.decode()},
                "bindingVersion": BINDING,
            }
        },
    }


def text(declaration: Declaration) -> str:
    """Return the document as it is committed."""
    shown = document(declaration, published())
    return json.dumps(shown, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the document; run it in the project's folder."""
    DOCUMENT.write_text(text(parse_declaration(DECLARATION.read_text("utf-8"))), "utf-8")


if __name__ == "__main__":
    main()
