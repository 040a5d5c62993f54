"""What every test runs under: reproducible examples, and the tables of ops as they shipped.

And a real browser, for tests of what runs in one. Where there is none they are skipped; they fail
instead if REQUIRE_BROWSER is set, as it is where everything has to be tested.
"""

import importlib
import os
import shutil

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


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window. Of a module, since its event loop is in the way of others."""
    found = os.environ.get("CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    playwright = _if_installed("playwright.sync_api")
    if found is None or playwright is None:
        missing = "Chromium, or CHROMIUM, its path," if found is None else "playwright"
        _without(f"needs {missing} to run in a real browser")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe():
    """The source of axe-core, which looks for what people with disabilities cannot use."""
    path = os.environ.get("AXE_CORE")
    if path is None:
        _without("needs AXE_CORE, the path of axe.min.js: npm install axe-core has it")
    with open(path, encoding="utf-8") as file:
        return file.read()


def _if_installed(module):
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def _without(reason):
    if os.environ.get("REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)
