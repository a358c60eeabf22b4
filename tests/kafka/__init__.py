"""A real Kafka broker for tests: no container, no installation, nothing left behind."""
