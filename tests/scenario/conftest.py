"""Fixtures of the stories: a stage, and `tell`, whose lines stand at the end of the test run."""

import pytest

from story import Stage

_told = []


def _stage(directory, item):
    one = Stage(directory)
    try:
        yield one
        if not getattr(item, "has_failed", False):
            one.judge()
    finally:
        if getattr(item, "has_failed", False):
            for node in one.nodes:
                print(node.log())
        one.close()


@pytest.fixture
def stage(directory, network, request):
    """A stage of one test's own."""
    yield from _stage(directory, request.node)


@pytest.fixture(scope="module")
def shared_stage(module_directory, network, request):
    """One for all tests of a file, where real peers take long to start."""
    yield from _stage(module_directory, request.node)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    for node in (item, item.parent):
        node.has_failed = getattr(node, "has_failed", False) or report.failed


@pytest.fixture
def tell(request):
    """tell("first given back after 0.4 s"): for readers, not judged."""
    return lambda text: _told.append(f"{request.node.name}: {text}")


def pytest_terminal_summary(terminalreporter):
    if _told:
        terminalreporter.section("what was measured")
        for line in _told:
            terminalreporter.line(line)
