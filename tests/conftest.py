"""What every test runs under: reproducible examples, and the tables of ops as they shipped."""

import pytest
from hypothesis import HealthCheck, settings

from tinygrad_edu.ops.declare import NUMPY_FUNCTIONS, OPS

# The same examples on every run and on every machine, however slow it is.
settings.register_profile(
    "reproducible",
    derandomize=True,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("reproducible")


@pytest.fixture(autouse=True)
def _ops_declared_by_a_test_are_forgotten():
    tables = [(table, dict(table)) for table in (OPS, NUMPY_FUNCTIONS)]
    yield
    for table, before in tables:
        table.clear()
        table.update(before)
