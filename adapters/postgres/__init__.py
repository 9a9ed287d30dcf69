"""PostgreSQL: the event store and the feeds of a hub that outgrew one file."""
