"""One suite a port, run against every adapter of it: a new adapter is one more line."""
