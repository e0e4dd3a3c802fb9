"""What people send is signed so that rspamd, which many mail systems ask, finds both signatures good."""

import re

import pytest

from harness.peers import Knot
from harness.process import wait_for
from harness.rspamd import Rspamd
from office import FRIEND, Office
from story import ALICE

pytestmark = pytest.mark.usefixtures("network")


def signatures(message):
    """The DKIM-Signature fields, folded lines and all."""
    head = message.split(b"\r\n\r\n")[0] + b"\r\n"
    return re.findall(rb"(?im)^DKIM-Signature:.*(?:\r\n[ \t].*)*\r\n", head)


def test_rspamd_finds_both_signatures_good(stage, directory):
    office = Office(stage)
    keys = office.node.must("dkim", "create", "example.test")["keys"]
    for key in keys:
        office.node.must("dkim", "activate", "example.test", key["selector"])
    zone = "".join(key["dns"] + "\n" for key in keys)
    knot = stage.start(Knot, zones={"example.test": zone}, unsigned=["example.test"])
    judge = stage.start(Rspamd, (knot.address, knot.port))
    office.send(ALICE, [FRIEND], "perché no?")
    row = wait_for(office.world.records, "it is in the world", 20)[0]
    message = (office.stored / row["file"]).read_bytes()
    found = signatures(message)
    assert sorted(re.search(rb"a=([a-z0-9-]+)", one)[1] for one in found) == \
        [b"ed25519-sha256", b"rsa-sha256"]
    for one in found:
        alone = message
        for other in found:
            alone = alone if other == one else alone.replace(other, b"")
        assert "R_DKIM_ALLOW" in judge.dkim(alone), one
        for changed in (alone + b"more\r\n", alone.replace(b"Subject: ", b"Subject: x")):
            assert "R_DKIM_REJECT" in judge.dkim(changed)
    assert "R_DKIM_ALLOW" in judge.dkim(message)
