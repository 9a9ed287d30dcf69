"""The bench: what the mechanism does a second, each figure beside a baseline of the same run."""
