"""The two sides of a benchmark: our program, and the peer tuned as well as it can be.

Both take mail for user0@bench.test .. user99@bench.test from 127.0.0.0/8, without looking up
names. `mode` is "receive" (kept, nothing is delivered), "relay" (kept, then passed on to the
sink) or "idle" (connections that do nothing; STARTTLS is offered).
"""

from harness import company
from harness.peers import Postfix
from harness.process import wait_for
from harness.staffetta import Staffetta

DOMAIN = "bench.test"
USERS = 100
LOAD_OPTIONS = ("--from", "sender@load.test", "--rcpt", f"user%d@{DOMAIN}", "--rcpt-range", USERS,
                "--source-addresses", "127.0.1.1-127.0.1.200")

POSTFIX_TUNED = {
    # no names, no log, nothing that a test on loopback does not need
    "disable_dns_lookups": "yes", "smtp_host_lookup": "native", "smtpd_peername_lookup": "no",
    "maillog_file": "", "smtp_tls_security_level": "none", "smtpd_tls_security_level": "none",
    # no limits in the way
    "default_process_limit": "250", "in_flow_delay": "0", "smtpd_error_sleep_time": "0",
    "smtpd_client_connection_count_limit": "0", "smtpd_client_connection_rate_limit": "0",
    "smtpd_client_message_rate_limit": "0", "smtpd_client_recipient_rate_limit": "0",
    "smtpd_client_new_tls_session_rate_limit": "0", "smtpd_client_auth_rate_limit": "0",
    "message_size_limit": "52428800", "qmgr_message_active_limit": "100000",
    "qmgr_message_recipient_limit": "100000",
    # processes that stay: without this cleanup is started anew each 100 messages
    "max_use": "100000",
    # no rewriting, no checks
    "receive_override_options":
        "no_address_mappings,no_header_body_checks,no_unknown_recipient_checks",
}
POSTFIX_RELAY = {
    "smtp_destination_concurrency_limit": "50", "initial_destination_concurrency": "20",
    "default_destination_concurrency_limit": "50", "smtp_connection_cache_on_demand": "yes",
    "smtp_connection_reuse_time_limit": "300s",
}
# The message goes to the hold queue: stored and synced, and nobody looks at it again. The cheapest
# way to receive that Postfix has.
POSTFIX_HOLD = {"smtpd_client_restrictions": "check_client_access static:HOLD"}


def postfix(mode, directory, *, sink=None, tls=None, disk=None):
    """A Postfix that is ready to start. `disk`: where its queue lies."""
    settings = dict(POSTFIX_TUNED)
    if mode == "relay":
        settings |= POSTFIX_RELAY
        settings["smtp_connection_cache_destinations"] = f"[127.0.0.1]:{sink.port}"
    else:
        settings |= POSTFIX_HOLD
    if tls:
        settings["smtpd_tls_security_level"] = "may"
    return Postfix(directory / "postfix", relayhost=sink.at if sink else "127.0.0.1:9", tls=tls,
                   queue=f"{disk or directory}/queue", settings=settings)


# What a real node would not allow one company's test bench. The store has its usual size.
NODE_TUNED = {
    "limits": {"connections": 20000, "connections_per_address": 20000,
               "connections_per_network": 20000, "connections_per_minute": 10000000,
               "messages": 10000000, "commands": 10000000},
    "store": {"free_percent": "1 %", "alarm_percent": "2 %"},
}


class Node(Staffetta):
    """Our program with one tenant; its domain is kept here, or passed on to the sink."""

    def __init__(self, mode, directory, *, sink=None, tls=None, disk=None):
        super().__init__(directory / "staffetta", data=f"{disk or directory}/data", tls=tls,
                         **NODE_TUNED)
        self.mode = mode
        self.sink = sink

    @property
    def port(self):
        return self.at()[1]

    def start(self):
        super().start()
        try:
            self._set_up()
            # A node that has just been made prepares its files first: that is not its daily work.
            wait_for(lambda: self.must("status")["store"]["pool"] >= 4, "the files are ready", 60)
        except Exception:
            self.kill9()
            raise
        return self

    def _set_up(self):
        """Relayed: passed on to the sink, as Postfix does. Otherwise the primary is dead: each
        message is kept, queued, in the ledger and in its continuity mailbox: the main job."""
        people = [f"user{number}@{DOMAIN}" for number in range(USERS)]
        at = (self.sink.address, self.sink.port) if self.mode == "relay" else ("127.0.0.1", 9)
        company.add(self, at, people, tenant="bench", primary="next", domain=DOMAIN,
                    covered=self.mode != "relay")


SIDES = {"postfix": postfix, "staffetta": Node}
