"""Everything in SQLite files: the embedded default."""
