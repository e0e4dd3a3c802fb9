#!/usr/bin/python3
"""Benchmark of the search of mailboxes, with words of real letters.

Fills a search file, asks for first pages of hits in a large and in a small account, erases. Prints what
src/store/test/bench_store_search.c prints, then a line a figure of those that have a target:

    NAME ours=… target=… ok|short

The targets are for 100,000 messages of one account among 1,000,000 of others; fewer must do better.
Leaves with 0 when every figure is met, 1 when one is short.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import corpus  # noqa: E402

# name, pattern of its line, of its value, at most
TARGETS = (
    ("search_first_page_word", r"ask_common account=large .*", r"p50_ms=(\S+)", 5),
    ("search_first_page_two_words", r"ask_two account=large .*", r"p50_ms=(\S+)", 5),
    ("search_first_page_phrase", r"ask_phrase account=large .*", r"p50_ms=(\S+)", 10),
    ("search_first_page_beginning_of_2", r"ask_prefix2 account=large .*", r"p50_ms=(\S+)", 5),
    ("search_first_page_beginning_of_3", r"ask_prefix3 account=large .*", r"p50_ms=(\S+)", 20),
    ("search_small_account_beginning_of_4", r"ask_prefix4 account=small .*", r"p50_ms=(\S+)", 5),
    ("search_fill_cpu_ms", r"fill_per_second=.*", r"fill_cpu_ms=(\S+)", 0.5),
    ("search_disk_bytes", r"purge_s=.*", r"disk_bytes=(\S+)", 2500),  # all merged
)


def run(folder, options):
    letters = []
    for number, letter in enumerate(corpus.letters()):
        path = Path(folder) / f"letter{number}"
        path.write_bytes(letter.replace(b"\r\n", b"\n"))
        letters.append(str(path))
    return subprocess.run([os.environ["BENCH_SEARCH"], folder, str(options.others), str(options.own),
                           *letters], check=True, stdout=subprocess.PIPE, text=True).stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--others", type=int, default=1_000_000, help="messages in 1,000 accounts")
    parser.add_argument("--own", type=int, default=100_000, help="messages in the large account")
    parser.add_argument("--dir", default="/var/tmp", help="on the disk that is measured (/var/tmp)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-search-", dir=options.dir) as folder:
        said = run(folder, options)
    print(said, end="")
    n_short = 0
    for name, line, value, most in TARGETS:
        ours = float(re.search(value, re.search(line, said).group(0)).group(1))
        n_short += ours > most
        print(f"{name} ours={ours:g} target=<={most:g} {'ok' if ours <= most else 'short'}")
    return 1 if n_short else 0


if __name__ == "__main__":
    sys.exit(main())
