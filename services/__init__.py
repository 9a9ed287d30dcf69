"""Use cases and their HTTP faces; `bootstrap` is the only module that knows the adapters."""
