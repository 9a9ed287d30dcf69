"""The gateway: seals, signs and sends what its agency does; checks and opens what it may read."""
