"""Apache Kafka by kafka-python: the log for everybody else, and a topic for every seat."""
