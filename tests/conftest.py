"""What all tests share: a slow machine fails no property, and there is a broker to ask for."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.kafka.fixtures"]

# Both would judge by the clock, and so by whatever else the machine is doing.
settings.register_profile("edge", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("edge")
