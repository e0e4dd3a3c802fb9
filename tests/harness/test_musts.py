"""tools/check-musts finds a table of MUSTs that says more than the tests do."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROW = "1.2\t1\tids are short\t"
REST = "1.2\t2-3\tand so on\tclient\n"

WRONG = {
    "a test that is not there": (f"words\t3\n{ROW}tests/t.c::gone\n{REST}", "has no test gone"),
    "one of two is not there": (f"words\t3\n{ROW}tests/t.c::is_there, tests/t.py::test_no\n{REST}",
                                "has no test test_no"),
    "a file that is not there": (f"words\t3\n{ROW}tests/u.c::is_there\n{REST}", "there is no tests/u.c"),
    "a function that nobody runs": (f"words\t3\n{ROW}tests/t.c::helper\n{REST}", "has no test helper"),
    "empty without a reason": (f"words\t3\n{ROW}-\n{REST}", "empty, and no reason"),
    "three cells": (f"words\t3\n1.2\t1\tids\n{REST}", "not four cells"),
    "a gap": (f"words\t2\n{REST}", "does not follow"),
    "a row too few": (f"words\t4\n{ROW}spec\n{REST}", "the rows have 3 words, the standard 4"),
}


def judge(folder, table, *args):
    tests = folder / "tests/conformance/jmap"
    tests.mkdir(parents=True, exist_ok=True)
    (tests / "rfc1.txt").write_text("# head\n" + table)
    (folder / "tests/t.c").write_text("static void helper(void **s) {}\ncmocka_unit_test(is_there),\n"
                                      "cmocka_unit_test_setup_teardown(\n    is_long, a, b),\n"
                                      "TEST(is_short),\n")
    (folder / "tests/t.py").write_text("def test_it():\n    pass\n")
    done = subprocess.run([ROOT / "tools/check-musts", *args], capture_output=True, text=True,
                          env=os.environ | {"CHECK_ROOT": str(folder)}, check=False)
    return done.returncode, done.stdout


def test_a_whole_table_is_counted(tmp_path):
    table = f"words\t4\n{ROW}tests/t.c::is_there, tests/t.c::is_long, tests/t.c::is_short, " \
            f"tests/t.py::test_it\n{REST}1.3\t1\tnever\t- it cannot be seen\n"
    assert judge(tmp_path, table) == (0, "rfc1.txt: 4 words in 3 rows: 1 shown by tests, 1 bind others, "
                                         "1 empty\n")
    assert "1.3 1: never: it cannot be seen" in judge(tmp_path, table, "--empty")[1]


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_table_is_found(tmp_path, what):
    table, said = WRONG[what]
    status, output = judge(tmp_path, table)
    assert status == 1 and said in output, output
