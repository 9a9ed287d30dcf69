"""Confluent's registry client, imported without the news that its HTTP library prints."""

import warnings

with warnings.catch_warnings(record=True):
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroDeserializer

__all__ = ["AvroDeserializer", "SchemaRegistryClient"]
