"""The hub: accepts actions, projects them into feeds, serves the feeds, watches the clocks."""
