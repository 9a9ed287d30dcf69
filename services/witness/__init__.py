"""A witness: cosigns the checkpoints of logs that only ever grow, after a replay if it is asked."""
