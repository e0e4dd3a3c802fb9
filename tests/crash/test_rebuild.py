"""The index is nothing but what one gets by applying the log: made anew it is the same, also when
segments of the log have been used again and only a snapshot knows what was in them (promise 2)."""

import stage as stages
import books
from harness.process import Failure, wait_for
from stage import Stage, prove, say

# Small segments, so that they are used again while the test is running.
SMALL = {"segment": "4 MiB", "pool": 2}
# Bob's mail system keeps the first two messages for this address and never says so.
MUTE = "bob+mute@example.test"
MUTE_TWICE = ("--hang-at", f"accepted first 2 for {MUTE}")


def comparable(tables):
    """Without what only says where the program is: `meta`, and the bounds of a zone, which begin
    anew when it was empty at a commit."""
    del tables["meta"]
    return tables


def zones_without_bounds(data):
    db = books.open_index(data)
    rows = db.execute("SELECT number, bytes FROM zone WHERE bytes > 0 ORDER BY number").fetchall()
    db.close()
    return rows


def dump(data):
    tables = comparable(books.dump(data))
    tables["zone"] = zones_without_bounds(data)
    return tables


def assert_same(before, after):
    assert before.keys() == after.keys()
    for table, rows in before.items():
        if rows == after[table]:
            continue
        gone = [row for row in rows if row not in after[table]][:3]
        new = [row for row in after[table] if row not in rows][:3]
        raise AssertionError(f"{table}: {len(rows)} rows before, {len(after[table])} after the "
                             f"rebuild; before: {gone}, after: {new}")


def rebuild(stage):
    code, text = books.tool(stage.node.program, "rebuild", stage.node.data)
    if code != 0:
        raise Failure(f"store rebuild: {code}\n{text}")


def load(stage):
    """Much relayed mail, whose bytes are dropped once they are delivered, and some that stays."""
    stage.send("--sessions", 12, "--size", 20000, "--messages", 4000, rcpts=["bob@example.test"])
    stage.send("--sessions", 4, "--size", 1300000, "--messages", 30, rcpts=["dario@cut.test"])
    stage.send("--sessions", 8, "--size", 4000, "--messages", 1500,
               rcpts=["carla@cut.test", "dario@cut.test"])
    stage.send("--sessions", 4, "--size", 3000, "--messages", 500)


def load_without_end(stage):
    """The same mixture: a core that is away refuses so quickly that a number would be used up."""
    stage.send("--sessions", 12, "--size", 20000, "--rate", 500, "--seconds", 1000,
               rcpts=["bob@example.test"])
    stage.send("--sessions", 4, "--size", 1300000, "--rate", 4, "--seconds", 1000,
               rcpts=["dario@cut.test"])
    stage.send("--sessions", 8, "--size", 4000, "--rate", 200, "--seconds", 1000,
               rcpts=["carla@cut.test", "dario@cut.test"])
    stage.send("--sessions", 4, "--size", 3000, "--rate", 100, "--seconds", 1000)


def n_accepted(stage):
    return sum(row.word == "accepted" for row in stage.sent().values())


def finish_sending(stage):
    for one in stage.senders:
        if one.running:
            one.running.result(120)
            one.running = None


def wait_recycled(stage, count):
    """Until more segments than that were used again: what was in them only a snapshot knows."""
    def is_recycled():
        stage.node.must("store", "snapshot")
        return stage.node.must("status")["store"]["recycled"] > count

    wait_for(is_recycled, "segments are used again", 60, 1)


def test_a_rebuilt_index_is_the_same_after_segments_were_used_again(directory):
    with stages.fresh_network(), Stage(directory, store=SMALL) as stage:
        stage.companies()
        load(stage)
        finish_sending(stage)
        stage.drained()
        wait_recycled(stage, 5)
        # Something after the snapshot: the rebuild is snapshot and log.
        stage.send("--sessions", 4, "--size", 3000, "--messages", 300)
        stage.send("--sessions", 4, "--size", 3000, "--messages", 300,
                   rcpts=["bob@example.test", "anna@example.test"])
        finish_sending(stage)
        stage.drained()
        stage.node.stop()
        before = dump(stage.node.data)
        rebuild(stage)
        assert_same(before, dump(stage.node.data))
        say({table: len(rows) for table, rows in before.items() if rows})
        # And the node goes on with it, as its own user.
        stage.node.start()
        stage.send("--sessions", 4, "--size", 3000, "--messages", 100)
        finish_sending(stage)
        say(prove(stage))


def cut_off(stage):
    """One message, two attempts that are cut off for certain: each has reached the primary, which
    keeps it and says nothing; then the courier dies, the other time core."""
    stage.send("--sessions", 1, "--size", 3000, "--messages", 1, rcpts=[MUTE])
    for n, role in enumerate(("courier", "core"), 1):
        wait_for(lambda n=n: stage.sink.counts()["faults"] == n, f"attempt {n} hangs", 60, 0.1)
        stage.node.wait_role(role, stage.node.kill9(role), 20)


def test_a_rebuilt_index_is_the_same_after_kills(directory):
    with stages.fresh_network(), \
            Stage(directory, sink_options=MUTE_TWICE, store=SMALL) as stage:
        stage.companies()
        cut_off(stage)
        load_without_end(stage)
        for i in range(4):
            wait_for(lambda n=400 * (i + 1): n_accepted(stage) > n, "mail flows", 60, 0.1)
            for role in ("core", "courier", "gate", "core"):
                old = stage.node.kill9(role)
                stage.node.wait_role(role, old, 20)
            stage.node.kill9()
            stage.node.start()
        wait_for(lambda: n_accepted(stage) > 3000, "much mail came", 60, 0.1)
        stage.stop_sending()
        stage.drained()
        stage.node.stop()
        before = dump(stage.node.data)
        assert before["double"], "no attempt was cut off: the test tests too little"
        rebuild(stage)
        assert_same(before, dump(stage.node.data))
        stage.node.start()
        say(prove(stage))


def test_a_wrong_path_and_a_running_node_are_refused_in_words(directory):
    with stages.fresh_network(), Stage(directory) as stage:
        stage.companies()
        code, text = books.tool(stage.node.program, "rebuild", stage.node.data)
        assert code == 1 and "is in use" in text, text
        code, text = books.tool(stage.node.program, "verify", stage.node.data)
        assert code == 0, text
    for verb in ("verify", "rebuild"):
        code, text = books.tool(stage.node.program, verb, directory)
        assert code == 1 and "is no" in text or "is it" in text or "data directory" in text, text
        assert not (directory / "log").exists()
