"""Real Kafka brokers and a real PostgreSQL on this machine, for tests and for trying the hub."""
