"""Fixtures of all Python tests: a private directory, a network of its own."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import netns  # noqa: E402  pylint: disable=wrong-import-position
from harness.process import private_dir  # noqa: E402  pylint: disable=wrong-import-position

# Files run side by side (./dev test): those that take minutes begin first, or all would wait for the
# last of them at the end. Most of their time is waiting.
LONGEST = ["test_kills.py", "test_moments.py", "test_jmap_kill.py", "test_decision_zoo.py",
           "test_primary_dies.py", "test_decision_ours.py", "test_cut_through.py",
           "test_decision_by_hand.py", "test_decision_many.py", "test_watches.py",
           "test_way_back.py"]


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST
               else len(LONGEST))


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
