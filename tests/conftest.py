"""What every test shares: property tests that do not depend on the speed of the machine."""

from hypothesis import HealthCheck, settings

# The settings in force are the parent: where CI is set, Hypothesis repeats the same examples.
settings.register_profile(
    "house", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")
