"""Wrong things in the data directory, as docs/bad-input.md, section "Data directory", says. What is
in doubt is never guessed: it is said in words what is wrong, what would be right, and what was done.

Wrong settings are in test_bad_start.py; disks that fail or fill up are in tests/crash."""

import contextlib
import shutil
import sqlite3
import subprocess

import pytest

from harness.process import Failure, run, wait_for
from harness.sender import Client
from harness.staffetta import Staffetta
from story import ALICE, STRANGER, Story, letter, settled, sums

pytestmark = pytest.mark.usefixtures("network")

COUNT = 30
BATCH = b"SBAT"
REFUSED = [r"process\.refused", r"process\.died process=core exit=78"]


@pytest.fixture
def stopped(stage):
    """A node with mail that waits, stopped; (node, sink, ids)."""
    node, sink = stage.before()
    sink.stop()
    story = Story(node)
    story.send_all("kept", COUNT)
    wait_for(lambda: not sums(node)["attempting"], "nothing runs")
    node.stop()
    return node, sink, story


def refused(node, *words):
    """It does not start, and says these words."""
    with pytest.raises(Failure) as failure:
        node.start()
    said = str(failure.value)
    for word in words:
        assert word in said, said
    assert "not started" in said


def everything_is_there(node, sink, story):
    node.start()
    sink.start()
    assert settled(node)["delivered"] == COUNT
    assert sorted(sink.ids()) == sorted(story.accepted)


def segments(node):
    """Files of the log that hold something, the first first."""
    return sorted(path for path in (node.data / "log").iterdir()
                  if path.read_bytes().find(BATCH) > 0)


def owned_as_before(path, action):
    """Whoever writes there as root must not change whose it is."""
    before = path.stat()
    action()
    shutil.chown(path, before.st_uid, before.st_gid)


# ---- the index -----------------------------------------------------------------------------------


def test_index_that_is_gone_is_made_anew(stopped):
    node, sink, story = stopped
    shutil.rmtree(node.data / "index")
    (node.data / "index").mkdir()
    shutil.copystat(node.data / "log", node.data / "index")
    owner = (node.data / "log").stat()
    shutil.chown(node.data / "index", owner.st_uid, owner.st_gid)
    everything_is_there(node, sink, story)


def test_index_that_is_rubbish_is_made_anew(stage, stopped):
    node, sink, story = stopped
    stage.expected.append(r"store\.")
    for path in (node.data / "index").iterdir():
        owned_as_before(path, lambda path=path: path.write_bytes(b"rubbish" * 5000))
    everything_is_there(node, sink, story)


def test_index_of_a_newer_version_is_not_touched(stage, stopped):
    node, sink, story = stopped
    stage.expected += REFUSED
    path = node.data / "index" / "index.db"

    def become(version):
        def write():
            with sqlite3.connect(path) as db:
                db.execute(f"PRAGMA user_version = {version}")
            db.close()

        owned_as_before(path, write)
        for more in (node.data / "index").iterdir():
            shutil.chown(more, path.stat().st_uid, path.stat().st_gid)

    with sqlite3.connect(path) as db:
        (known,) = db.execute("PRAGMA user_version").fetchone()
    db.close()
    become(known + 1)
    refused(node, "newer version")
    become(known)
    everything_is_there(node, sink, story)


def test_index_of_an_older_version_gets_what_it_lacks(stopped):
    node, sink, story = stopped
    path = node.data / "index" / "index.db"

    def become_old():
        with sqlite3.connect(path) as db:
            db.executescript("ALTER TABLE message RENAME COLUMN has_holder TO in_mailbox;"
                             "ALTER TABLE message RENAME COLUMN n_holders TO n_entries;"
                             "CREATE TABLE entry (mailbox INTEGER NOT NULL, uid INTEGER NOT NULL,"
                             "message INTEGER NOT NULL, modseq INTEGER NOT NULL,"
                             "flags INTEGER NOT NULL, thread INTEGER NOT NULL,"
                             "PRIMARY KEY (mailbox, uid)) WITHOUT ROWID;"
                             "INSERT INTO entry SELECT a.inbox, e.modseq, e.message, e.modseq, 0,"
                             "e.thread FROM email e JOIN account a ON a.person = e.account;"
                             "DROP TABLE account; DROP TABLE email; DROP TABLE item; DROP TABLE mark;"
                             "ALTER TABLE mailbox RENAME TO m; DROP INDEX mailbox_person;"
                             "CREATE TABLE mailbox (id INTEGER PRIMARY KEY,"
                             "person INTEGER NOT NULL, tenant INTEGER NOT NULL,"
                             "uid_next INTEGER NOT NULL, modseq INTEGER NOT NULL,"
                             "facts BLOB NOT NULL);"
                             "INSERT INTO mailbox SELECT id, person, tenant, 1, modseq,"
                             "substr(facts, 1, length(facts) - 21) FROM m; DROP TABLE m;"
                             "INSERT OR IGNORE INTO thread SELECT * FROM thread_new;"
                             "DROP TABLE thread_new; DROP TABLE evidence; DROP TABLE high;"
                             "PRAGMA user_version = 1")
        db.close()

    owned_as_before(path, become_old)
    for more in (node.data / "index").iterdir():
        shutil.chown(more, path.stat().st_uid, path.stat().st_gid)
    everything_is_there(node, sink, story)
    assert "store.index_upgraded" in node.log()


# ---- the log -------------------------------------------------------------------------------------


def test_segment_of_a_newer_version_is_not_touched(stage, stopped):
    """Its header says version 2, with a good checksum."""
    node, sink, story = stopped
    stage.expected += REFUSED
    path = segments(node)[0]
    raw = bytearray(path.read_bytes())
    for at in (0, 2048):
        raw[at + 52:at + 56] = (2).to_bytes(4, "little")
        raw[at + 56:at + 60] = crc32c(bytes(raw[at:at + 56])).to_bytes(4, "little")
    good = path.read_bytes()
    owned_as_before(path, lambda: path.write_bytes(raw))
    refused(node, "newer version")
    owned_as_before(path, lambda: path.write_bytes(good))
    everything_is_there(node, sink, story)


def crc32c(data):
    """RFC 3720, bit by bit: 56 bytes need no table."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def damage(node, number):
    """One bit in the middle of the batch with that number."""
    path = segments(node)[0]
    raw = bytearray(path.read_bytes())
    at = -1
    for _ in range(number + 1):
        at = raw.index(BATCH, at + 1)
    raw[at + 100] ^= 1
    owned_as_before(path, lambda: path.write_bytes(raw))
    return path, at


@pytest.mark.parametrize("has_index", [True, False], ids=["with-index", "without-index"])
def test_damage_is_never_cut_away(stage, stopped, has_index):
    """One bit in the middle of the log, before mail that was answered. The node opens for reading: it
    says what is hit, shows everything else, and takes no mail before a person has decided."""
    node, sink, story = stopped
    stage.expected += [r"store\."]
    if not has_index:
        shutil.rmtree(node.data / "snapshot", ignore_errors=True)
        for path in (node.data / "index").iterdir():
            path.unlink()
    path, at = damage(node, 10)
    kept = path.read_bytes()
    done = subprocess.run([node.program, "store", "verify", str(node.data)], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 1 and path.name in done.stdout + done.stderr
    node.start()
    wait_for(lambda: "store.damaged" in node.log() and path.name in node.log(), "it is said", 5)
    with Client(node.at()) as client:
        client.ehlo()
        reply = client.transaction(STRANGER, ALICE, letter("no"))
        assert reply.code in (451, 452), reply
    status = node.must("status")
    assert status["open"] is False and status["text"]
    if has_index:
        assert sums(node)["accepted"] == COUNT
        assert node.must("trace", story.accepted["kept-3"])["messages"]
    node.stop()
    assert path.read_bytes()[:at + 4096] == kept[:at + 4096], "it was cut"


def test_unsynced_tail_is_cut_and_nothing_else(stopped):
    """What a power cut may leave behind the end: half a batch, old bytes, noise."""
    node, sink, story = stopped
    path = segments(node)[-1]
    raw = bytearray(path.read_bytes())
    last = raw.rindex(BATCH)
    end = (last // 4096 + 3) * 4096
    raw[end:end + 8192] = bytes(raw[last:last + 512]) + bytes(range(256)) * 30
    owned_as_before(path, lambda: path.write_bytes(raw))
    everything_is_there(node, sink, story)


def test_log_that_is_gone_is_not_mistaken_for_a_new_store(stage, stopped):
    """The index knows mail of which there is no log: a wrong mount, not an empty node."""
    node, _, _ = stopped
    stage.expected.append(r"store\.")
    for path in (node.data / "log").iterdir():
        path.unlink()
    node.start()
    with Client(node.at()) as client:
        client.ehlo()
        assert client.transaction(STRANGER, ALICE, letter("no")).code == 451
    assert node.must("status")["open"] is False
    assert sums(node)["accepted"] == COUNT


# ---- no room --------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(directory):
    """A disk of 40 MiB, mounted at the returned folder."""
    place = directory / "small"
    place.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=40m,mode=755", "tmpfs", place)
    yield place
    run("umount", "-l", place)


def fill(place):
    """Not a page is left."""
    with contextlib.suppress(OSError), open(place / "filler", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_new_store_on_a_full_disk_is_refused_and_leaves_nothing_half(small_disk, directory):
    fill(small_disk)
    node = Staffetta(directory / "full", data=small_disk / "data")
    refused(node, "The store in", "no room on the disk")
    (small_disk / "filler").unlink()
    node.start()
    assert node.must("status")["open"]
    node.stop()


def test_store_on_a_full_disk_starts_and_delivers(stage, stopped, small_disk):
    """New mail is asked to wait; what is there is given back, and written down as given back."""
    stage.expected += [r"mail\.closed", r"store\.", r"disk\.low", r"name=primary\.kept "]
    node, sink, story = stopped
    run("cp", "-a", node.data, small_disk / "data")
    node.data = small_disk / "data"
    fill(small_disk)
    node.start()
    with Client(node.at()) as client:
        client.ehlo()
        reply = client.transaction(STRANGER, ALICE, letter("no"))
        assert (reply.code, reply.enhanced) == (452, "4.3.1")
    sink.start()
    wait_for(lambda: len(sink.ids()) == COUNT, "given back", 20)
    (small_disk / "filler").unlink()
    wait_for(lambda: Story(node).send("again").code == 250, "open again", 10)
    assert settled(node)["delivered"] == COUNT + 1


# ---- the directory -------------------------------------------------------------------------------


def test_second_node_on_the_same_store_is_refused_and_the_first_goes_on(stage, directory):
    node, sink = stage.before()
    second = Staffetta(directory / "second", data=node.data)
    refused(second, "is in use by a Staffetta that is running")
    assert Story(node).send("after").code == 250
    assert settled(node)["delivered"] == 1


def test_files_of_others_in_the_data_directory_are_left_alone(stopped):
    node, sink, story = stopped
    for name in ("README.txt", "log/notes.txt", "index/copy.db"):
        (node.data / name).write_text("mine")
    everything_is_there(node, sink, story)
    for name in ("README.txt", "log/notes.txt", "index/copy.db"):
        assert (node.data / name).read_text() == "mine"


def test_copy_of_the_data_directory_is_a_backup(stage, stopped, directory):
    node, sink, story = stopped
    run("cp", "-a", node.data, directory / "backup")
    shutil.rmtree(node.data)
    run("cp", "-a", directory / "backup", node.data)
    everything_is_there(node, sink, story)
