"""Our reader of time zones against Python's, for every zone of this machine.

    zone_judge.py ZONE_PROBE
"""

import datetime
import pathlib
import random
import subprocess
import sys
import zoneinfo

UTC = datetime.timezone.utc
THOROUGH = ["Europe/Rome", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]
FOLDER = pathlib.Path("/usr/share/zoneinfo")


def hours(first_year, last_year, step):
    at = datetime.datetime(first_year, 1, 1, tzinfo=UTC)
    end = datetime.datetime(last_year, 1, 1, tzinfo=UTC)
    while at < end:
        yield int(at.timestamp())
        at += datetime.timedelta(hours=step)


def changes(zone, instants):
    """Both seconds of every change between two neighbours."""
    for low, high in zip(instants, instants[1:]):
        if offset(zone, low) == offset(zone, high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            if offset(zone, middle) == offset(zone, low):
                low = middle
            else:
                high = middle
        yield low
        yield high


def offset(zone, t):
    return int(datetime.datetime.fromtimestamp(t, zone).utcoffset().total_seconds())


def judge(probe, name, instants):
    path = FOLDER / name
    with open(path, "rb") as f:
        zone = zoneinfo.ZoneInfo.from_file(f, key=name)
    instants = sorted(instants)
    instants += list(changes(zone, instants))
    out = subprocess.run([probe, path], input="\n".join(map(str, instants)) + "\n",
                         capture_output=True, text=True, check=False)
    if out.returncode != 0:
        return len(instants), [f"{name}: refused: {out.stderr.strip()}"]
    ours = list(map(int, out.stdout.split()))
    if len(ours) != len(instants):
        return len(instants), [f"{name}: {len(ours)} answers to {len(instants)} questions"]
    wrong = [f"{name} at {t}: {a}, not {offset(zone, t)}"
             for t, a in zip(instants, ours) if a != offset(zone, t)]
    return len(instants), wrong[:3]


def main():
    probe = sys.argv[1]
    rng = random.Random(8536)
    n, wrong = 0, []
    for name in THOROUGH:
        instants = set(hours(2020, 2045, 12)) | set(hours(1900, 2500, 24 * 14))
        some, bad = judge(probe, name, instants)
        n, wrong = n + some, wrong + bad
    names = sorted(zoneinfo.available_timezones())
    for name in names:
        instants = {rng.randrange(-2208988800, 9000000000) for _ in range(60)}
        some, bad = judge(probe, name, instants | set(hours(2026, 2028, 24 * 10)))
        n, wrong = n + some, wrong + bad
    print(f"{len(names)} zones, {n} instants, {len(wrong)} wrong")
    print("\n".join(wrong[:20]))
    return 1 if wrong or len(names) < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
