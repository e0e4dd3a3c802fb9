"""A JMAP client that others wrote, from npm: it logs in with a token, lists and reads, hears news,
writes, attaches and sends (tests/npm/talk.mjs)."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import netns
from harness.jmap import Client
from harness.process import ROOT, build_dir, wait_for
from story import ALICE, BOB, Story

pytestmark = pytest.mark.usefixtures("network")


def installed():
    """The folder with node_modules. It may be missing where there is no registry of npm, but not in
    continuous integration, which says FOREIGN_CLIENTS_REQUIRED."""
    folder = Path(os.environ.get("FOREIGN_CLIENTS", build_dir() / "npm"))
    missing = "there is no node" if not shutil.which("node") else \
        None if (folder / "node_modules/jmap-jam").is_dir() else \
        f"no foreign clients in {folder}: `./dev test` installs them where npm reaches its registry"
    if missing and os.environ.get("FOREIGN_CLIENTS_REQUIRED"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    return folder


def test_a_client_from_npm_reads_answers_and_hears_news(stage):
    folder = installed()
    address = "127.0.0.1"
    listen = [{"for": purpose, "at": f"{address}:{netns.free_port(address)}"} |
              ({"tls": "none"} if purpose == "https" else {}) for purpose in ("smtp", "https")]
    node, _ = stage.before(settings={"listen": listen})
    url = "http://" + listen[1]["at"]
    Story(node).send("offer", text="what about noon?")
    node.must("state", "emergency", "exchange", "--why", "now people write here")
    bob = Client(url, BOB, node.must("person", "password", BOB, "--generate")["password"])
    token = node.must("person", "token", "add", ALICE, "from npm")["token"]
    done = subprocess.run(["node", ROOT / "tests/npm/talk.mjs", folder, url, token, BOB],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    story = json.loads(done.stdout)
    assert story == {"username": ALICE, "subject": "offer", "text": story["text"],
                     "file": "a,b\n1,2\n", "refused": None, "isInSent": True, "isInThread": True,
                     "news": ["Email"]}
    assert story["text"].strip() == "what about noon?"
    got = wait_for(lambda: bob.list(properties=("subject", "from", "attachments", "textBody",
                                                "bodyValues")), "the colleague has the answer", 20)
    assert got[0]["subject"] == "Re: offer" and got[0]["from"][0]["email"] == ALICE
    table, = got[0]["attachments"]
    assert (table["name"], bob.download(table["blobId"], "t", "text/csv")) == \
        ("table.csv", b"a,b\n1,2\n")
