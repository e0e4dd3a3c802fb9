"""A company in a running node: tenant, primary, domain, people, by the operator's own commands."""

import json


def add(node, primary_at, people, *, tenant="rossi", primary="exchange", domain="example.test",
        cut_through=False, covered=True, networks=(), complete=True, domain_options=(),
        primary_options=()):
    """`primary_at`: (address, port) of its mail system; `people`: addresses. Returns nothing; every
    command has to succeed."""
    host, port = primary_at
    node.must("tenant", "add", tenant)
    wanted = [word for network in networks for word in ("--network", network)]
    node.must("primary", "add", primary, "--tenant", tenant, "--host", f"{host}:{port}", *wanted,
              *primary_options)
    node.must("domain", "add", domain, "--tenant", tenant, "--primary", primary,
              "--cut-through" if cut_through else "--no-cut-through", *domain_options)
    import_people(node, people, tenant=tenant, covered=covered, complete=complete)


def plan(node, primary="exchange", why="as this test needs it", **values):
    """A plan that is in force at once: plan(node, good_for_ready=1, ready_over=0)."""
    options = [word for key, value in values.items()
               for word in (f"--{key.rstrip('_').replace('_', '-')}", str(value))]
    node.must("plan", "set", primary, "--why", why, *options)
    node.must("plan", "approve", primary)


def import_people(node, people, *, tenant="rossi", covered=True, complete=True, force=False):
    rows = [{"address": person, "name": person.split("@")[0].title(), "covered": covered}
            if isinstance(person, str) else person for person in people]
    path = node.directory / "people.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    node.must("person", "import", str(path), "--tenant", tenant,
              *(["--complete"] if complete else []), *(["--force"] if force else []))


def ledger(node):
    """The sums of the ledger over all companies; fails when it does not balance."""
    return node.must("ledger")["total"]
