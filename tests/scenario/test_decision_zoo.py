"""Every way in which a mail system dies, also the quiet ones, side by side before one node.

Each company's primary falls in its own way in the same minute, while letters come all the time. It
has to be noticed, told, decided by the plan (15 times faster than the built-in one), and when the
primary is well again everything is given back at a person's word. Some are only away for a while,
slow or well, and get no emergency."""

import contextlib
import signal
import time
from pathlib import Path

import pytest

from decision import (PLAN, Patient, changes, firewall, kept_by, let_through, people, side_by_side,
                      states, swallow, told)
from harness.certs import Authority
from harness.peers import Primary, Sink
from harness.process import run, signal_pid
from harness.sender import Client

pytestmark = pytest.mark.usefixtures("network")

AWAY = ["standby", "suspect", "emergency", "returning", "standby"]
US = "127.0.0.1"  # from where the node's deliveries come


# ---- peers and how they fall ---------------------------------------------------------------------


def is_smtpd(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(encoding="ascii") == "smtpd\n"
    return False


def reconfigure(primary, **settings):
    """Postfix's own settings, changed while it runs; None: not set. Sessions that stand would go on
    with the old ones, and ours live long while letters come, so they end."""
    postfix = primary.postfix
    for key, value in settings.items():
        if value is None:
            postfix.settings.pop(key, None)
        else:
            postfix.settings[key] = value
    fresh = postfix.etc / "main.cf.new"
    fresh.write_text(postfix.main_cf(), encoding="ascii")
    fresh.rename(postfix.etc / "main.cf")
    # One that starts now reads them. It must not be killed before it served anybody: that would be a
    # bad start, and Postfix would start no other one for service_throttle_time.
    before = [pid for pid in postfix.pids() if is_smtpd(pid)]
    run("postfix", "-c", postfix.etc, "reload")
    for pid in filter(is_smtpd, before):
        with contextlib.suppress(OSError):
            signal_pid(pid, signal.SIGTERM)


def postfix_with(stage, node, name, **settings):
    """A real Postfix and Dovecot; it falls by these settings and heals without them."""
    peer = stage.start(Primary, users=dict.fromkeys(people(name), "secret"))
    return Patient(node, name, peer, lambda: reconfigure(peer, **settings),
                   lambda: reconfigure(peer, **dict.fromkeys(settings)))


def sink_with(stage, node, name, *options):
    """A sink that falls by these options."""
    peer = stage.sink()

    def begin(with_options):
        peer.stop()
        peer.options = list(with_options)
        peer.start()

    return Patient(node, name, peer, lambda: begin(options), lambda: begin(()))


def killed(stage, node):
    peer = stage.start(Primary, users=dict.fromkeys(people("killed"), "secret"))
    return Patient(node, "killed", peer, peer.kill9)


def refused(stage, node):
    return Patient(node, "refused", stage.sink())


def black_hole(stage, node):
    peer = stage.sink()
    return Patient(node, "blackhole", peer, lambda: swallow(peer), lambda: let_through(peer))


def silent(stage, node):
    """The kernel takes connections for processes that stand still."""
    peer = stage.start(Primary, users=dict.fromkeys(people("silent"), "secret"))
    return Patient(node, "silent", peer, peer.pause, peer.resume)


def hangs(stage, node):
    return sink_with(stage, node, "hangs", "--hang-at", "ehlo")


def says_421(stage, node):
    return sink_with(stage, node, "says421", "--reply-banner", "421 4.3.2 shutting down")


def not_now(stage, node):
    return postfix_with(stage, node, "notnow", smtpd_recipient_restrictions="defer")


def disk_full(stage, node):
    """Postfix's own word, since it wants more free disk than there is."""
    return postfix_with(stage, node, "diskfull", queue_minfree="900000000000000")


def denies_all(stage, node):
    return postfix_with(stage, node, "deniesall", smtpd_client_restrictions="reject",
                        smtpd_delay_reject="no")


def denies_us(stage, node):
    return postfix_with(stage, node, "deniesus", smtpd_client_restrictions=
                        f"check_client_access inline:{{ {{{US} = 554 5.7.1 on our list}} }}")


def while_others_are_served(patient):
    """The same Postfix goes on taking mail from everybody else: nobody there notices anything."""
    def fall(begin=patient.fall):
        begin()
        with Client(patient.peer.smtp, source="127.0.0.2") as client:
            client.ehlo()
            client.mail("friend@outside.test")
            patient.others_heard = client.rcpt(patient.people[0]).code
            client.command("RSET")
            client.quit()

    patient.fall = fall
    patient.through_an_emergency()


def with_mailboxes(stage, node, name, peer_of):
    """Canaries and log-ins are tried; the canary has a mailbox of its own."""
    users = dict.fromkeys(people(name), "secret") | {f"canary@{name}.test": "bird"}
    peer = stage.start(Primary, users=users)
    fall, heal = peer_of(peer)
    host, port = peer.imap
    access = ("--host", f"{host}:{port}", "--tls", "never", "--canary", f"canary@{name}.test",
              "--user", f"canary@{name}.test", "--secret", "bird")
    return Patient(node, name, peer, fall, heal, access=access,
                   plan={"canary_every": 10, "login_every": 10})


def loses(stage, node):
    """It says 250 and throws the canary away; people's letters still arrive, which nobody knows."""
    return with_mailboxes(stage, node, "loses", lambda peer: (
        lambda: reconfigure(peer, transport_maps="inline:{ {canary@loses.test = discard:} }"),
        lambda: reconfigure(peer, transport_maps=None)))


def nobody_gets_in(stage, node):
    """It takes and keeps mail, but its password file came from an old backup."""
    def ways(peer):
        def set_users(users):
            peer.dovecot.users = users
            peer.dovecot.write_users()

        return (lambda: set_users(dict.fromkeys(peer.users, "of last year")),
                lambda: set_users(peer.users))

    return with_mailboxes(stage, node, "nologin", ways)


def expired(stage, node, authority):
    """TLS is required and verified; its certificate ran out yesterday."""
    good = authority.issue("good", ("DNS:mx.expired.test",))
    old = authority.issue("old", ("DNS:mx.expired.test",), days=-1)
    peer = stage.sink("--starttls", *good)

    def begin(certificate):
        peer.stop()
        peer.options = ["--starttls", *map(str, certificate)]
        peer.start()

    return Patient(node, "expired", peer, lambda: begin(old), lambda: begin(good),
                   primary_options=("--tls", "verify", "--tls-name", "mx.expired.test"))


def flapping(stage, node):
    return Patient(node, "flapping", stage.sink())


def reboots(stage, node):
    return Patient(node, "reboots", stage.sink())


def reboots_slowly(stage, node):
    return Patient(node, "slowboot", stage.sink())


def slow(stage, node):
    """25 seconds before the final reply of each message, from the beginning."""
    return Patient(node, "slow", stage.sink("--delay-ms", 25000))


def well(stage, node):
    return Patient(node, "well", stage.sink())


# name -> what `state show` says of it while it is down
FALLS = {
    "killed": "refused", "refused": "refused", "blackhole": "connect", "silent": "banner",
    "hangs": "ehlo", "says421": "421 at banner", "notnow": "try again later",
    "diskfull": "452 at mail", "deniesall": "554 at banner", "deniesus": "on our list",
    "expired": "certificate has expired",
    "loses": "canary lost", "nologin": "no log-in",
}


# ---- their stories -------------------------------------------------------------------------------


def stays_well(patient):
    patient.fell = time.time()
    time.sleep(35)


def is_down_for(seconds):
    def story(patient):
        patient.begin()
        time.sleep(seconds)
        patient.recover()
        patient.wait(lambda s: s["state"] == "standby" and not s["told"], "calm", 60)

    return story


def comes_and_goes(patient):
    """Down for 6 seconds, up for 4, again and again: one trouble."""
    patient.fell = time.time()
    for _ in range(8):
        patient.fall()
        time.sleep(6)
        if (shown := patient.state())["state"] == "emergency":
            patient.shown = shown
            break
        patient.heal()
        time.sleep(4)
    bad = patient.shown
    patient.heal()
    patient.healed = time.time()
    patient.wait(lambda s: s["ready"], "ready to return", 60)
    patient.approved = time.time()
    patient.node.must("state", "approve", patient.name, "--why", "the cable is fixed")
    patient.wait(lambda s: s["state"] == "standby", "back in standby", 30)
    patient.shown = bad


STORIES = dict.fromkeys(FALLS, Patient.through_an_emergency) | {
    "deniesus": while_others_are_served, "flapping": comes_and_goes,
    "reboots": is_down_for(5), "slowboot": is_down_for(14),
    "slow": stays_well, "well": stays_well,
}


@pytest.fixture(scope="module")
def zoo(shared_stage):
    """All patients after their stories."""
    stage = shared_stage
    firewall()
    authority = Authority(stage.directory / "ca")
    authority.pem.chmod(0o644)
    outside = stage.start(Sink, address="127.0.0.53")  # something that always answers
    node = stage.node(continuity={"controls": [outside.at]},
                      tls={"authorities": str(authority.pem)},
                      listen=[{"for": "smtp", "at": "127.0.0.1:25"}])
    kinds = (killed, refused, black_hole, silent, hangs, says_421, not_now, disk_full, denies_all,
             denies_us, loses, nobody_gets_in, flapping, reboots, reboots_slowly, slow, well)
    patients = [kind(stage, node) for kind in kinds] + [expired(stage, node, authority)]
    for patient in patients:
        patient.move_in()
    side_by_side(patients, STORIES)
    return {patient.name: patient for patient in patients}


@pytest.fixture
def patient_of(zoo, tell):
    """patient_of(name): the one whose story is over; fails when something in it did."""
    def one(name):
        patient = zoo[name]
        if patient.error:
            tell(f"{name}: {changes(patient.node, name)}")
            raise patient.error
        return patient

    return one


# ---- what became of them -------------------------------------------------------------------------


@pytest.mark.parametrize("name", FALLS)
def test_fall(patient_of, tell, name):
    patient = patient_of(name)
    tell(patient.figures())
    assert states(patient.node, name) == AWAY
    seen = [patient.shown["last"]] + [a.get("last", "") for a in patient.shown["aspects"]]
    assert any(FALLS[name].lower() in text.lower() for text in seen), patient.shown
    assert told(patient.node, name) == ["primary.suspect", "primary.emergency"]
    suspect, emergency = changes(patient.node, name)[:2]
    assert emergency.time - suspect.time < PLAN["emergency_after"] + 15
    patient.nobody_lost_anything()


def test_denied_is_only_us(patient_of):
    """The same Postfix still took mail from everybody else: which is why nobody there noticed."""
    patient = patient_of("deniesus")
    assert patient.others_heard == 250


def test_flapping_is_one_trouble_and_one_emergency(patient_of, tell):
    patient = patient_of("flapping")
    tell(patient.figures())
    found = states(patient.node, "flapping")
    assert found.count("emergency") == 1 and found.count("suspect") >= 3, found
    assert told(patient.node, "flapping").count("primary.emergency") == 1
    assert told(patient.node, "flapping").count("primary.suspect") == 1
    patient.nobody_lost_anything()


def test_short_reboot_alarms_nobody(patient_of, tell):
    patient = patient_of("reboots")
    found = states(patient.node, "reboots")
    tell(f"5 s away: {' > '.join(found)}")
    assert "emergency" not in found
    assert told(patient.node, "reboots") == []
    patient.nobody_lost_anything()


def test_long_reboot_is_told_and_is_no_emergency(patient_of, tell):
    patient = patient_of("slowboot")
    found = states(patient.node, "slowboot")
    tell(f"14 s away: {' > '.join(found)}")
    assert found == ["standby", "suspect", "standby"]
    assert told(patient.node, "slowboot") == ["primary.suspect"]
    patient.nobody_lost_anything()


def test_25_seconds_before_each_word_double_nothing(patient_of, tell):
    patient = patient_of("slow")
    tell(f"{len(patient.postman.accepted())} letters, slowest 250 after "
         f"{max(patient.postman.seconds.values()):.1f} s")
    assert max(patient.postman.seconds.values()) < 22
    assert states(patient.node, "slow") == ["standby"]
    assert len(kept_by(patient.peer)) == len(patient.postman.accepted())
    patient.nobody_lost_anything()


def test_neighbours_do_not_disturb(patient_of, tell):
    patient = patient_of("well")
    tell(f"slowest 250 with 17 ill neighbours: {max(patient.postman.seconds.values()):.2f} s")
    assert states(patient.node, "well") == ["standby"]
    assert told(patient.node, "well") == []
    patient.nobody_lost_anything()
