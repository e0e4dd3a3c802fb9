#!/usr/bin/python3
"""A month of evidence about one company's mail server, with the truth beside it.

    generator_b.py SEED [--days 30]     print the month: lines "MS WORD" and "# real|glitch FROM UNTIL what"
    generator_b.py SEED --check         verify that text instead (generator_b_check.py); exit code 1 on a finding

This is the second generator: written from the description of the evidence alone, without knowledge of the
code that decides, so that a mistake of that code is not repeated in its test.

What is modelled, and why:
- The server is a timeline of behaviours. Every delivery, probe, canary and log-in asks it what it meets at
  its moment, so all kinds of evidence tell the same story, each with its own delay and its own blind spot.
  An SMTP probe ends before the recipients: a server that refuses all mail still greets it.
- A failed delivery is tried again after 1, 5 and 15 minutes; what stays undone after that waits unseen.
- Mail follows people: office hours in central European time (summer time begins on 29 March 2026), weekend,
  Easter, night batches, newsletters, out-of-office storms, one marketing day; 1,500 to 10,000 messages a day.
- Normal life: deliveries that meet a slow moment, a 4xx for one recipient, one or two lost probes, a slow or
  lost canary, an over-quota mailbox that refuses alone for hours while nothing else arrives.
- Glitches are what a careful person waits out (at most 4.5 minutes of a dead server, or evidence that speaks
  about us or about some mail only). Real failures are what that person would call an emergency. Each real
  failure is long enough to be seen by the evidence that can see it: a canary every 5 minutes of which two in
  a row may be late cannot prove a loss of 8 minutes, so the quiet kinds last half an hour at least.
- Truth windows never overlap: 30 minutes lie between a failure and a glitch, 6 hours between two failures.
  Results may come after a window ends (a time-out, a canary's 120 s); that is part of the test.

Times are UTC milliseconds since 1970, strictly ascending, from Monday 2026-03-02T00:00Z.
The truth stands at the head, so that a reader of the stream knows it in advance.
"""
import argparse
import bisect
import datetime
import math
import random
import sys
from typing import NamedTuple

import generator_b_check

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
START_DATE = datetime.date(2026, 3, 2)
START_MS = 1772409600 * SECOND
SUMMER_DAY = (datetime.date(2026, 3, 29) - START_DATE).days
HOLIDAYS = datetime.date(2026, 3, 30)                     # schools close for Easter, many people leave
EASTER = (datetime.date(2026, 4, 3), datetime.date(2026, 4, 6))
RETRIES_MS = (1 * MINUTE, 5 * MINUTE, 15 * MINUTE)
CANARY_DEADLINE_MS = 120 * SECOND
PERIOD_MS = 5 * MINUTE                                    # of the canary and of the log-in probe
CLEAR_MS = 30 * MINUTE                                    # between any two windows of truth
WELL_MS = 6 * HOUR                                        # between two real failures

OFFICE_HOURS = (1, 1, 1, 1, 1, 2, 4, 10, 18, 20, 19, 16, 11, 15, 18, 17, 14, 9, 6, 4, 3, 3, 2, 2)
FREE_HOURS = (3, 2, 2, 2, 2, 2, 3, 4, 5, 6, 6, 6, 6, 5, 5, 5, 5, 6, 6, 6, 6, 5, 4, 3)


class Behaviour(NamedTuple):
    """What an attempt meets. `share`: how many of the attempts meet it; the others find the server well."""
    delivery: str = 'good'
    probe: str = 'greets'
    takes_canary: bool = True
    shows_canary: bool = True
    login: str = 'login-good'
    is_silent: bool = False
    share: float = 1.0


WELL = Behaviour()
DEAD = Behaviour('bad', 'bad', False, False, 'login-bad')
SILENT = DEAD._replace(is_silent=True)
BUSY = Behaviour('bad', 'bad', False)
REFUSING = Behaviour('refuses', takes_canary=False)
FULL_NO_LOGIN = REFUSING._replace(login='login-bad')
LOSING = Behaviour(takes_canary=False)
NO_LOGIN = Behaviour(login='login-bad')

# What people would call an emergency: behaviour, shortest length that the evidence can show.
FAILURES = {
    'killed': (DEAD, 8 * MINUTE),
    'black hole': (SILENT, 8 * MINUTE),
    '421 at once': (BUSY, 8 * MINUTE),
    '4xx to everything': (REFUSING, 25 * MINUTE),
    '5xx to everything': (REFUSING, 25 * MINUTE),
    'disk full': (REFUSING, 25 * MINUTE),
    'disk full, nobody can log in': (FULL_NO_LOGIN, 25 * MINUTE),
    'accepts and loses': (LOSING, 30 * MINUTE),
    'log-in dead': (NO_LOGIN, 30 * MINUTE),
    'flapping': (DEAD, 20 * MINUTE),
}


class Window(NamedTuple):
    begin: int
    end: int
    is_real: bool
    what: str
    phases: tuple                                         # of (length_ms, Behaviour), from `begin` on


def local_ms(day, hours):
    """UTC milliseconds of a local time: `hours` after midnight of the `day`th day."""
    is_summer = day + hours / 24 >= SUMMER_DAY + 3 / 24
    return START_MS + int(day * DAY + (hours - (2 if is_summer else 1)) * HOUR)


def is_free_day(day):
    date = START_DATE + datetime.timedelta(days=day)
    return date.weekday() >= 5 or EASTER[0] <= date <= EASTER[1]


class Month:
    """Plans the windows of truth first, then lets every source of evidence walk over them."""

    def __init__(self, seed, days):
        self.rng = random.Random(seed)
        self.days = days
        self.end = START_MS + days * DAY
        self.windows = []
        self.events = []
        self.canary_at = START_MS + self.rng.randrange(PERIOD_MS)
        self.plan_failures()
        self.plan_nights()
        self.plan_glitches()
        self.windows.sort()
        self.spans = []                                   # of (begin, end, Behaviour)
        for w in self.windows:
            at = w.begin
            for length, behaviour in w.phases:
                self.spans.append((at, at + length, behaviour))
                at += length
        self.span_begins = [s[0] for s in self.spans]

    # The plan

    def is_clear(self, begin, end, is_real):
        for w in self.windows:
            gap = WELL_MS if is_real and w.is_real else CLEAR_MS
            if begin < w.end + gap and w.begin < end + gap:
                return False
        return True

    def place(self, length, draw, is_real=False):
        """A start drawn by `draw` that keeps its distance from all windows so far, or None."""
        last = self.end - length - (WELL_MS if is_real else HOUR)
        for _ in range(3000):
            begin = draw()
            if START_MS + 2 * HOUR <= begin <= last and self.is_clear(begin, begin + length, is_real):
                return begin
        return None

    def any_time(self):
        return self.rng.randrange(START_MS, self.end)

    def office_time(self):
        day = self.rng.randrange(self.days)
        return local_ms(day, self.rng.uniform(8.5, 17)) if not is_free_day(day) else START_MS

    def lonely_time(self):
        """Night or free day: little mail, nobody looks."""
        day = self.rng.randrange(self.days)
        return local_ms(day, self.rng.uniform(0, 23) if is_free_day(day) else self.rng.uniform(0, 5.5))

    def times(self, least, most):
        """How often something happens in this month, scaled for shorter and longer ones."""
        return max(1, round(self.rng.randint(least, most) * self.days / 30))

    def add(self, begin, is_real, what, phases):
        self.windows.append(Window(begin, begin + sum(p[0] for p in phases), is_real, what, tuple(phases)))

    def glitch(self, what, phases, draw=None):
        begin = self.place(sum(p[0] for p in phases), draw or self.any_time)
        if begin:
            self.add(begin, False, what, phases)

    def span(self, least_s, most_s):
        return self.rng.randint(least_s * SECOND, most_s * SECOND)

    def plan_failures(self):
        whats = self.rng.sample(list(FAILURES), min(self.times(2, 6), len(FAILURES)))
        longest = self.days * DAY / 10
        lengths = [self.end]
        while sum(lengths) > self.days * DAY / 4:
            lengths = [int(math.exp(self.rng.uniform(math.log(FAILURES[w][1]), math.log(longest)))) for w in whats]
        for length, what in sorted(zip(lengths, whats), reverse=True):
            draw = self.rng.choice((self.any_time, self.lonely_time, self.office_time))
            behaviour = FAILURES[what][0]
            phases = [(length, behaviour)]
            if what == 'flapping':                        # an odd number: it begins and ends with being down
                phases = [(30 * SECOND, (behaviour, WELL)[i % 2]) for i in range(length // MINUTE * 2 + 1)]
            length = sum(p[0] for p in phases)
            begin = self.place(length, draw, is_real=True) or self.place(length, self.any_time, is_real=True)
            if begin:
                self.add(begin, True, what, phases)

    def plan_nights(self):
        hour = self.rng.uniform(3, 4.5)
        for day in range(self.days):
            begin, length = local_ms(day, hour) + self.span(0, 120), self.span(30, 90)
            if self.is_clear(begin, begin + length, False) and self.rng.random() < 0.9:
                self.add(begin, False, 'nightly restart', [(length, DEAD)])

    def reboot(self):
        part = self.span(120, 270) // 10
        return [(part, BUSY), (part, DEAD), (5 * part, SILENT), (3 * part, DEAD)]

    def plan_glitches(self):
        rng = self.rng
        for _ in range(self.times(1, 2)):                 # updates that want to boot twice
            between = self.span(720, 1200)
            first, second = self.reboot(), self.reboot()
            length = sum(p[0] for p in first + second) + between
            begin = self.place(length, self.any_time)
            if begin:
                self.add(begin, False, 'reboot', first)
                self.add(begin + sum(p[0] for p in first) + between, False, 'reboot again', second)
        for _ in range(self.times(2, 4)):
            self.glitch('reboot', self.reboot())
        for _ in range(self.times(2, 4)):                 # until our uplink is known to be whole again
            cut = self.span(60, 3600)
            self.glitch('our uplink cut', [(cut, SILENT), (self.span(2, 30), WELL)])
        for _ in range(self.times(1, 2)):
            self.glitch('clock jumped', [(self.span(300, 10800), WELL)])
        for _ in range(self.times(1, 2)):
            self.glitch('one mailbox over quota', [(self.span(7200, 18000), WELL)], self.lonely_time)
        for _ in range(self.times(2, 4)):
            some = Behaviour('refuses', share=rng.uniform(0.2, 0.6))
            self.glitch('greylisting some mail', [(5 * MINUTE, some)], self.office_time)
        for _ in range(self.times(2, 4)):
            self.glitch('resolver hiccup', [(self.span(20, 120), Behaviour('bad', 'bad', share=0.5))])
        for _ in range(self.times(3, 5)):                 # one canary late, or two
            length = rng.choice((200, 500)) * SECOND
            self.glitch('antivirus update', [(length, LOSING)], lambda: self.any_canary() - 30 * SECOND)
        for _ in range(self.times(8, 20)):
            self.glitch('network blip', [(self.span(5, 60), SILENT)])

    def any_canary(self):
        return self.canary_at + PERIOD_MS * self.rng.randrange(self.days * DAY // PERIOD_MS)

    # What an attempt meets

    def meet(self, at):
        i = bisect.bisect_right(self.span_begins, at) - 1
        if i < 0 or at >= self.spans[i][1]:
            return WELL
        behaviour = self.spans[i][2]
        return behaviour if behaviour.share >= 1 or self.rng.random() < behaviour.share else WELL

    def attempt(self, at, longest_ms):
        """The behaviour that decides an attempt begun at `at`, and when a well server ends it."""
        behaviour, done = self.meet(at), at + self.rng.randint(20, longest_ms)
        later = self.meet(done)
        return (later if behaviour is WELL and later.share >= 1 else behaviour), done

    def say(self, at, word):
        self.events.append((at, word))

    # The sources of evidence

    def walk_probes(self):
        rng = self.rng
        calm_after = rng.choice((1, 5, 30))               # greetings in a row until the pace is slow again
        lost_a_day = rng.uniform(2, 6)
        at, n_greets, failing_since, n_lost = START_MS, 0, None, 0
        next_lost = at + rng.expovariate(lost_a_day / DAY)
        while at < self.end:
            behaviour, done = self.attempt(at, 300)
            word, is_silent = behaviour.probe, behaviour.is_silent
            if at >= next_lost:
                n_lost, next_lost = rng.randint(1, 2), at + rng.expovariate(lost_a_day / DAY)
            if n_lost > 0 and word == 'greets':
                n_lost, word, is_silent = n_lost - 1, 'bad', rng.random() < 0.5
            if word == 'bad':
                done += 10 * SECOND if is_silent else 0
                n_greets, failing_since = 0, failing_since or done
            else:
                n_greets += 1
                failing_since = failing_since if n_greets < calm_after else None
            self.say(done, word)
            is_fast = failing_since and done - failing_since < HOUR
            at = done + SECOND if is_fast else max(at + 10 * SECOND, done + SECOND)

    def walk_canaries(self):
        for at in range(self.canary_at, self.end, PERIOD_MS):
            deadline, ready = at + CANARY_DEADLINE_MS, None
            is_slow = self.rng.random() < 0.02
            for sent in range(at, deadline, 30 * SECOND):
                if self.meet(sent).takes_canary:
                    ready = sent + (self.span(60, 118) if is_slow else self.span(10, 40))
                    break
            is_lost = self.rng.random() < 0.001 and self.is_clear(at, deadline, False)
            while not is_lost and ready and ready <= deadline and not self.meet(ready).shows_canary:
                ready += 10 * SECOND
            is_read = ready and ready <= deadline and not is_lost
            self.say(ready if is_read else deadline, 'canary-good' if is_read else 'canary-bad')

    def walk_logins(self):
        for at in range(START_MS + self.rng.randrange(PERIOD_MS), self.end, PERIOD_MS):
            behaviour, done = self.attempt(at, 2500)
            self.say(done + (10 * SECOND if behaviour.is_silent else 0), behaviour.login)

    def walk_mail(self):
        slow, picky = self.rng.uniform(0.0005, 0.005), self.rng.uniform(0.0002, 0.002)
        for at in self.arrivals():
            for wait in RETRIES_MS + (0,):
                behaviour, done = self.attempt(at, 1500)
                word, luck = behaviour.delivery, self.rng.random()
                if behaviour.is_silent:
                    done += self.span(10, 30)
                elif word == 'good' and luck < slow:
                    word, done = 'bad', done + self.span(5, 30)
                elif word == 'good' and luck < slow + picky:
                    word = 'refuses'
                self.say(done, word)
                if word == 'good':
                    break
                at = done + wait

    def arrivals(self):
        """Messages as people and machines send them. While our uplink is cut most senders wait for its end."""
        cuts = [(w.begin, w.end) for w in self.windows if w.what == 'our uplink cut']
        volume = math.exp(self.rng.uniform(math.log(1800), math.log(8000)))
        storms = self.rng.sample(range(self.days), min(3, self.days)) + [(HOLIDAYS - START_DATE).days]
        marketing = self.rng.randrange(self.days)
        for day in range(self.days + 1):
            for at in self.arrivals_of_day(day, volume, day in storms, day == marketing):
                for begin, end in cuts:
                    if begin <= at < end and self.rng.random() < 0.85:
                        at = end + self.span(5, 1800)
                if START_MS <= at < self.end:
                    yield at

    def arrivals_of_day(self, day, volume, has_storm, is_marketing):
        rng, is_free = self.rng, is_free_day(day)
        date = START_DATE + datetime.timedelta(days=day)
        people = volume * (0.2 if is_free else 0.65 if date >= HOLIDAYS else 1)
        bursts = []                                       # of (local hour, minutes, messages)
        if not is_free:
            bursts += [(1.25, 8, volume * 0.04), (5.5, 10, volume * 0.05)]
            bursts += [(10.03, 6, volume * 0.06)] if date.weekday() in (1, 3) else []
            bursts += [(rng.uniform(8, 15), 20, volume * 0.1)] if has_storm else []
            bursts += [(11, 180, volume * 0.7)] if is_marketing else []
        extra = sum(b[2] for b in bursts)
        people = max(people, 1650 - extra)
        scale = min(1, 9700 / (people + extra))           # their server takes no more a day
        hours = FREE_HOURS if is_free else OFFICE_HOURS
        for hour, weight in enumerate(hours):
            if day != SUMMER_DAY or hour != 2:            # an hour that did not happen
                bursts.append((hour, 60, people * weight / sum(hours)))
        for hour, minutes, n in bursts:
            begin, at = local_ms(day, hour), 0.0
            while n > 0:
                at += rng.expovariate(n * scale / (minutes * MINUTE))
                if at >= minutes * MINUTE:
                    break
                yield begin + int(at)

    def walk_words(self):
        """What the continuity system knows about itself, and the mailbox that refuses alone."""
        self.events.sort()
        times = [e[0] for e in self.events]
        for w in self.windows:
            if w.what == 'clock jumped':
                self.say(w.begin, 'clock-jumped')
                self.say(w.end - 1, 'clock-confirmed')
            elif w.what == 'our uplink cut':
                first = next(e[0] for e in self.events[bisect.bisect_left(times, w.begin):] if e[1] == 'bad')
                self.say(first + self.span(2, 15), 'blind')
                self.say(w.end - 1, 'seeing')
            elif w.what == 'one mailbox over quota':
                at, waits = w.begin, list(RETRIES_MS)
                while at < w.end:
                    self.say(at, 'refuses')
                    at += waits.pop(0) if waits else 20 * MINUTE

    def lines(self):
        for walk in (self.walk_probes, self.walk_canaries, self.walk_logins, self.walk_mail, self.walk_words):
            walk()
        for w in self.windows:
            yield f'# {"real" if w.is_real else "glitch"} {w.begin} {w.end} {w.what}'
        last = 0
        for at, word in sorted(self.events):
            last = max(at, last + 1)
            if last < self.end:
                yield f'{last} {word}'


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument('seed', type=int)
    args.add_argument('--days', type=int, default=30, choices=range(2, 181), metavar='2..180')
    args.add_argument('--check', action='store_true')
    args = args.parse_args()
    lines = Month(args.seed, args.days).lines()
    if args.check:
        return generator_b_check.run(list(lines), args.days)
    sys.stdout.writelines(line + '\n' for line in lines)
    return 0


if __name__ == '__main__':
    sys.exit(main())
