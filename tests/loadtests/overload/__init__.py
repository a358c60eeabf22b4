"""The overload load test, tested without an overload."""
