"""Options and rules that all tiers share."""

import os

import pytest
from hypothesis import HealthCheck, settings

# How fast a busy machine draws examples says nothing about the code.
any_machine = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same-examples", any_machine, derandomize=True)
settings.register_profile(
    "fuzz", any_machine, max_examples=int(os.environ.get("SHIMMY_FUZZ_EXAMPLES", "100")), print_blob=True
)
settings.load_profile("same-examples")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="rewrite golden files instead of comparing")
