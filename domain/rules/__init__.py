"""What may be recorded: one pure decider a part of the mechanism, and `decide` over them all."""
