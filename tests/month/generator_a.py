#!/usr/bin/python3
"""A month of a company's primary as its continuity system sees it, in the words of play.c.

    generator_a.py SEED [--days 30]

The truth is a list of spells: what the primary (or our own way to it) does in them. Against it run
the four who look: deliveries in the rhythm of a company, the SMTP probe (every 10 s, when ill 1 s
after the last), the canary and the log-in probe (every 5 minutes; in half of the months again after
a minute when one failed). What they see is printed in order of time; the spells as remarks.
"""

import argparse
import dataclasses
import random

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
MONDAY = 1_767_571_200_000  # 5 January 2026, 00:00 UTC
WATCH = 5 * MINUTE


@dataclasses.dataclass
class Behaviour:
    """What happens to who asks: seconds until the result, and the result."""

    probe: str = "greets"
    probe_s: float = 0.05
    delivery: str = "good"
    delivery_s: float = 0.3
    some: float = 1.0  # part of the deliveries that it happens to
    arrives: bool = True
    lets_in: bool = True


WELL = Behaviour()
GONE = Behaviour("bad", 0.02, "bad", 0.02, arrives=False, lets_in=False)
HOLE = Behaviour("bad", 10, "bad", 10, arrives=False, lets_in=False)
TALKS_LATE = Behaviour("bad", 10, "bad", 30, arrives=False, lets_in=False)
REFUSES = Behaviour(delivery="refuses", arrives=False)
LOSES = Behaviour(arrives=False)
LOCKED = Behaviour(lets_in=False)

REAL = {
    "killed": GONE,
    "black hole": HOLE,
    "banner, then silence": TALKS_LATE,
    "421 at once": Behaviour("bad", 0.05, "bad", 0.05, arrives=False),
    "4xx to all": REFUSES,
    "452, disk full": dataclasses.replace(REFUSES, delivery_s=1),
    "5xx to all": REFUSES,
    "accepts and loses": LOSES,
    "nobody can log in": LOCKED,
    "flapping every minute": GONE,
}


@dataclasses.dataclass
class Spell:
    begin: int
    end: int
    kind: str
    what: str
    behaviour: Behaviour
    period: int = 0  # flapping: down for half of it
    ours: str = ""  # uplink, clock

    def is_in(self, t):
        return self.begin <= t < self.end and (
            not self.period or (t - self.begin) % self.period < self.period // 2)


class Month:
    def __init__(self, seed, days):
        self.rng = random.Random(f"a{seed}")
        self.begin = MONDAY
        self.end = MONDAY + days * DAY
        self.rate = self.rng.choice([2, 10, 40, 120])  # messages in a working hour
        self.again = self.rng.choice([MINUTE, WATCH])  # the next canary when one failed
        self.out = []
        self.spells = []
        self.plant(days)

    # ---- the truth ----

    def plant(self, days):
        """Spells in random order, with room between them: long enough to be given back."""
        r = self.rng
        makers = [self.real] * (days * 2 // 3) + [self.blip] * (days * 3) + \
            [self.reboot] * (days // 3) + [self.aftershock] * (days // 6) + \
            [self.picky] * (days // 5) + [self.slow] * (days // 5) + \
            [self.uplink] * (days // 4) + [self.clock] * 2
        r.shuffle(makers)
        kinds = list(REAL)
        r.shuffle(kinds)
        self.kinds = kinds
        room = (self.end - self.begin) // (len(makers) + 1)
        at = self.begin + 20 * MINUTE
        for maker in makers:
            spell = maker(at + r.randrange(room // 3))
            self.spells.append(spell)
            quiet = 60 * MINUTE if spell.kind == "real" else 7 * MINUTE
            at = max(at + room * 5 // 6, spell.end + quiet)
        self.end = max(self.end, self.spells[-1].end + 2 * HOUR)

    def real(self, t):
        r = self.rng
        what = self.kinds.pop() if self.kinds else r.choice(list(REAL))
        length = r.choice([2 * MINUTE, 4 * MINUTE, 9 * MINUTE, 20 * MINUTE, 2 * HOUR])
        if REAL[what].probe == "greets":  # who looks every five minutes needs some time to see it
            length = r.choice([18 * MINUTE, 30 * MINUTE, 2 * HOUR])
        length += r.randrange(45 * SECOND)
        period = 0
        if what.startswith("flapping"):
            period = r.choice([60, 80, 120]) * SECOND
            length = max(length, 12 * MINUTE)
        return Spell(t, t + length, "real", what, REAL[what], period)

    def blip(self, t):
        r = self.rng
        length = r.choice([1, 2, 8, r.randrange(20, 41), r.randrange(20, 41)]) * SECOND
        return Spell(t, t + length, "glitch", "a blip", r.choice([GONE, HOLE]))

    def reboot(self, t):
        length = self.rng.randrange(180, 291) * SECOND
        return Spell(t, t + length, "glitch", "a reboot", self.rng.choice([GONE, HOLE]))

    def aftershock(self, t):
        """Down, up for a minute or two, and down again for a moment: still one update."""
        first, up = self.rng.randrange(150, 270), self.rng.randrange(50, 150)
        second = self.rng.randrange(10, 50)
        spell = Spell(t, t + (first + up + second) * SECOND, "glitch", "a reboot in two parts", GONE)
        inner = (t + first * SECOND, t + (first + up) * SECOND)
        spell.is_in = lambda at: t <= at < spell.end and not inner[0] <= at < inner[1]
        return spell

    def picky(self, t):
        length = self.rng.randrange(5, 40) * MINUTE
        return Spell(t, t + length, "glitch", "4xx to some",
                     Behaviour(delivery="refuses", some=self.rng.uniform(0.1, 0.4)))

    def slow(self, t):
        length = self.rng.randrange(5, 60) * MINUTE
        return Spell(t, t + length, "glitch", "slow",
                     Behaviour(probe_s=6, delivery="bad", delivery_s=25,
                               some=self.rng.uniform(0.02, 0.15)))

    def uplink(self, t):
        length = self.rng.choice([40 * SECOND, 6 * MINUTE, 45 * MINUTE])
        length += self.rng.randrange(MINUTE)
        return Spell(t, t + length, "glitch", "our own uplink", self.rng.choice([GONE, HOLE]),
                     ours="uplink")

    def clock(self, t):
        return Spell(t, t + self.rng.randrange(10, 60) * MINUTE, "glitch", "the clock jumped",
                     WELL, ours="clock")

    def behaviour(self, t):
        low, high = 0, len(self.spells)
        while low < high:
            middle = (low + high) // 2
            if self.spells[middle].begin <= t:
                low = middle + 1
            else:
                high = middle
        if low and self.spells[low - 1].is_in(t):
            return self.spells[low - 1].behaviour
        return WELL

    # ---- those who look ----

    def say(self, t, word):
        self.out.append((int(t), len(self.out), word))

    def deliveries(self):
        """Returns the times of failures, for the probe looks again when one failed."""
        r, failures = self.rng, []
        bursts = [self.begin + r.randrange(self.end - self.begin) for _ in range(6)]
        times = [b + r.randrange(10 * MINUTE) for b in bursts for _ in range(300)]
        for hour in range(self.begin, self.end, HOUR):
            weekday, of_day = (hour - MONDAY) // DAY % 7, (hour - MONDAY) // HOUR % 24
            usual = self.rate if weekday < 5 and 8 <= of_day < 18 else self.rate * 0.03 + 0.3
            if 12 <= of_day < 14:
                usual *= 0.6
            n = int(usual * r.uniform(0.7, 1.3) + r.random())
            times += [hour + r.randrange(HOUR) for _ in range(n)]
        free = 0  # while it fails, one message at a time
        for t in sorted(times):
            if t >= free:
                free = self.deliver(t, failures)
        return sorted(failures)

    def deliver(self, t, failures):
        """Try until it is taken; returns when the next message may be tried."""
        r, waits = self.rng, [10, 30, 60, 120, 300]
        n = 0
        while t < self.end - HOUR:
            b = self.behaviour(t)
            is_well = b.delivery == "good" or r.random() >= b.some
            took = int(b.delivery_s * SECOND * r.uniform(0.9, 1.1))
            if is_well and r.random() >= 0.002:
                self.say(t + took, "good")
                return t + took if n > 0 else 0
            word = b.delivery if not is_well else "bad"
            self.say(t + took, word)
            failures.append(t + took)
            if is_well or b.some < 1:  # others are taken meanwhile
                self.retry_alone(t + took, failures)
                return 0
            t += took + (4 if word == "refuses" else waits[min(n, 4)]) * SECOND
            n += 1
        return t

    def retry_alone(self, t, failures):
        for wait in [10, 30, 60, 120, 300, 300]:
            t += wait * SECOND
            b = self.behaviour(t)
            if b.delivery != "good" and self.rng.random() < b.some:
                self.say(t, b.delivery)
                failures.append(t)
            else:
                self.say(t, "good")
                return

    def probe(self, failures):
        t, at, bad_until = self.begin, 0, 0
        while t < self.end:
            b = self.behaviour(t)
            t += int(b.probe_s * SECOND) + self.rng.randrange(1, 20)
            while at < len(failures) and failures[at] <= t:
                bad_until = max(bad_until, failures[at] + 5 * SECOND)
                at += 1
            self.say(t, b.probe)
            is_ill = b.probe == "bad" or t < bad_until
            t += SECOND if is_ill else 10 * SECOND
            if not is_ill and at < len(failures) and failures[at] < t:
                t = max(failures[at], t - 10 * SECOND)  # look for ourselves at once

    def canary(self):
        t = self.begin + self.rng.randrange(WATCH)
        while t < self.end:
            b = self.behaviour(t)
            if b.arrives:
                self.say(t + self.rng.randrange(2, 20) * SECOND, "canary-good")
                t += WATCH
                continue
            is_taken = b.delivery == "good"
            took = MINUTE if is_taken else int(b.delivery_s * SECOND)
            self.say(t + took, "canary-bad")
            t += max(took, self.again) if self.again < WATCH else WATCH

    def log_in(self):
        t = self.begin + self.rng.randrange(WATCH)
        while t < self.end:
            b = self.behaviour(t)
            took = int((0.5 if b.probe == "greets" else b.probe_s) * SECOND)
            self.say(t + took, "login-good" if b.lets_in else "login-bad")
            t += WATCH if b.lets_in else self.again

    def ourselves(self):
        r = self.rng
        for s in self.spells:
            if s.ours == "clock":
                self.say(s.begin, "clock-jumped")
                self.say(s.end, "clock-confirmed")
            if s.ours != "uplink":
                continue
            t = s.begin + r.randrange(3, 40) * SECOND
            while t < s.end:  # the controls answer now and then, although it is not over
                self.say(t, "blind")
                seeing = t + r.randrange(1, 20) * MINUTE
                if seeing + 30 * SECOND >= s.end:
                    break
                self.say(seeing, "seeing")
                t = seeing + r.randrange(2, 25) * SECOND
            self.say(s.end + r.randrange(1, 4) * SECOND, "seeing")

    def run(self):
        failures = self.deliveries()
        self.probe(failures)
        self.canary()
        self.log_in()
        self.ourselves()
        for s in self.spells:
            print(f"# {s.kind} {s.begin} {s.end} {s.what}")
        last = self.end
        print("\n".join(f"{t} {word}" for t, _, word in sorted(self.out) if t < last))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("seed", type=int)
    arguments.add_argument("--days", type=int, default=30)
    a = arguments.parse_args()
    Month(a.seed, a.days).run()


if __name__ == "__main__":
    main()
