"""The published language: one `.avsc` an event and version, and the code that handles them."""
