#!/usr/bin/python3
"""Run the openspf suite for RFC 7208 against our evaluator.

usage: spf_suite.py PROBE SUITE.yml

Each scenario's zone is written in the form the probe's resolver reads; results and explanations
are compared with what the suite allows. Exit 1 and a list if any test fails."""
import subprocess
import sys
import tempfile

import yaml

MIN_TESTS = 193  # so that an empty or cut file cannot pass


def raw(text):
    """The suite writes bytes as \\x escapes: one code point a byte."""
    return text.encode("latin-1")


def joined(value):
    return b"".join(raw(str(v)) for v in (value if isinstance(value, list) else [value]))


def zone_lines(zonedata):
    for name, records in zonedata.items():
        has_txt = any("TXT" in r for r in records if isinstance(r, dict))
        for record in records:
            if not isinstance(record, dict):
                yield name, "TEMPFAIL", b""
                continue
            (kind, value), = record.items()
            if kind == "SPF":  # the suite's own rule: SPF records stand for TXT if there is none
                if has_txt:
                    continue
                kind = "TXT"
            if kind == "TXT" and value == "NONE":
                continue
            if kind == "MX":
                value = value[1]
            yield name, kind, joined(value)


def write_zone(zonedata, out):
    # Names of which only excluded records exist must still exist.
    for name in zonedata:
        out.write(raw(str(name)) + b"\tEXISTS\t\n")
    for name, kind, value in zone_lines(zonedata):
        if kind in ("MX", "PTR", "CNAME"):
            value = value.rstrip(b".")
        out.write(raw(str(name)) + b"\t" + kind.encode() + b"\t" + value + b"\n")
    out.flush()


def run_scenario(probe, scenario):
    """Yields (test name, complaint or None)."""
    tests = scenario["tests"]
    with tempfile.NamedTemporaryFile() as zone:
        write_zone(scenario["zonedata"], zone)
        asked = b"".join(
            raw("\t".join((str(t["host"]), str(t["helo"]), str(t["mailfrom"])))) + b"\n"
            for t in tests.values())
        done = subprocess.run([probe, "spf", zone.name], input=asked, stdout=subprocess.PIPE,
                              check=True)
    answers = done.stdout.decode("latin-1").split("\n")
    for (name, test), answer in zip(tests.items(), answers):
        result, explanation = answer.split("\t", 1)
        allowed = test["result"] if isinstance(test["result"], list) else [test["result"]]
        wanted = test.get("explanation")
        if wanted == "DEFAULT":
            wanted = ""
        if result not in allowed:
            yield name, f"{result} instead of {allowed}"
        elif result == "fail" and wanted is not None and explanation != wanted:
            yield name, f"explanation {explanation!r} instead of {wanted!r}"
        else:
            yield name, None


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    n = n_bad = 0
    with open(sys.argv[2], encoding="utf-8") as f:
        for scenario in yaml.safe_load_all(f):
            for name, complaint in run_scenario(sys.argv[1], scenario):
                n += 1
                if complaint:
                    n_bad += 1
                    print(f"{scenario['description']} / {name}: {complaint}")
    print(f"{n} tests, {n_bad} failed")
    sys.exit(1 if n_bad or n < MIN_TESTS else 0)


if __name__ == "__main__":
    main()
