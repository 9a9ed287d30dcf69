"""The published language: round trips, hostile bytes, lint with planted faults."""
