"""What holds for every test: no inherited settings, property-test profiles, and no skip where CI=true."""

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

CI = os.environ.get("CI") == "true"

settings.register_profile("local", max_examples=50, deadline=None)
settings.register_profile(
    "ci",
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("soak", max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if CI else "local"))

# A developer's own installation must not leak into the tests, nor a test's into another's child process.
for _name in [name for name in os.environ if name.startswith("SEALGATE_") and name != "SEALGATE_CACHE"]:
    del os.environ[_name]


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"CI=true: nothing may be skipped, but {report.nodeid} was: {report.longreprtext}"
        # An expected failure is a skip by another name, and is reported like one.
        if hasattr(report, "wasxfail"):
            del report.wasxfail


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skipped test into a failed one where CI=true."""
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turns a skipped module into a failed one where CI=true."""
    report = yield
    _fail_if_skipped(report)
    return report
