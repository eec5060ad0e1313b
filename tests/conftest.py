"""What all tests stand on: a clean environment, and a world to act in (world.py, forge.py)."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("world", "forge", "servers")

from mirror import Mirror  # noqa: E402
from world import Templates, World  # noqa: E402


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where GITLEDGER_SERVERS is `required`, as in CI, no test of the servers may be skipped, whatever its reason."""
    report = yield
    if report.skipped and item.get_closest_marker("servers") and os.environ.get("GITLEDGER_SERVERS") == "required":
        report.outcome = "failed"
        report.longrepr = f"skipped, where GITLEDGER_SERVERS is required: {report.longreprtext}"
    return report


@pytest.fixture(autouse=True, scope="session")
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing of whoever runs the tests: no configuration, no agent, no locale, no time zone."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "SSH_", "XDG_", "LC_", "PYTEST_GIT"))]:
        del os.environ[name]
    home = tmp_path_factory.mktemp("home")
    os.environ |= {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return Templates(tmp_path_factory.mktemp("templates"))


@pytest.fixture
def world(tmp_path: Path, templates: Templates) -> World:
    return World(tmp_path / "world", templates)


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """A bare server that lies when it is told to, with common@0 to common@3."""
    mirror = Mirror(tmp_path / "mirror.git")
    mirror.grow(3)
    return mirror
