"""Fixtures of all Python tests: a private directory, a network of its own."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import netns  # noqa: E402  pylint: disable=wrong-import-position
from harness.process import private_dir  # noqa: E402  pylint: disable=wrong-import-position


@pytest.fixture
def directory():
    """A directory that daemons of other users can reach, gone after the test."""
    with private_dir() as path:
        yield path


@pytest.fixture(scope="module")
def module_directory():
    """The same for all tests of a file together."""
    with private_dir() as path:
        yield path


@pytest.fixture(scope="module")
def network():
    """All tests of the file run in one fresh network namespace."""
    with netns.fresh():
        yield
