"""Tests that lack something are skipped, but not in CI, where nothing may be lacking."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest

def test_plain():
    pass

@pytest.mark.skipif(True, reason="needs Xvfb")
def test_marked():
    pass

@pytest.fixture
def screen():
    pytest.skip("needs Xvfb")

def test_with_a_fixture(screen):
    pass

@pytest.mark.data
def test_of_data():
    pytest.skip("ALLAPRIMA_DATA names no folder with clips")

def test_of_the_machine():
    pytest.skip("this machine has no graphics card")
"""


@pytest.fixture
def tests(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Tests under the same conftest.py, with neither CI nor the data folder."""
    for name in ("CI", "ALLAPRIMA_DATA"):
        monkeypatch.delenv(name, raising=False)
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nmarkers = data")
    pytester.makepyfile(test_here=TESTS)
    return pytester


def test_elsewhere_they_skip(tests: pytest.Pytester) -> None:
    """Protects people without root: what they can't install is no failure."""
    tests.makepyfile(test_there='import pytest\npytest.importorskip("no_such_package")')
    tests.runpytest().assert_outcomes(passed=1, skipped=5)


def test_in_ci_they_fail(tests: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects from tests that nobody runs: only the machine's nature, or no data folder at all, is a reason."""
    monkeypatch.setenv("CI", "true")
    result = tests.runpytest()
    result.assert_outcomes(passed=1, skipped=2, errors=2)
    result.stdout.fnmatch_lines(["skipped, though .ci/run brings what tests need: needs Xvfb"])
    monkeypatch.setenv("ALLAPRIMA_DATA", str(tests.path))
    tests.runpytest().assert_outcomes(passed=1, skipped=1, failed=1, errors=2)


def test_in_ci_whole_modules_fail(tests: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects tests of an extra: that it isn't there isn't overlooked."""
    monkeypatch.setenv("CI", "true")
    tests.makepyfile(test_there='import pytest\npytest.importorskip("no_such_package", reason="needs the extra")')
    result = tests.runpytest()
    result.assert_outcomes(errors=1)
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*though .ci/run brings what tests need: needs the extra"])
