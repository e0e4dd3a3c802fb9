"""What must hold for a month printed by generator_b.py. Reads the text only, knows nothing of how it was made."""
import bisect
import collections

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
START_MS = 1772409600 * SECOND
BYTES_MAX = 60_000_000
LATE_MS = 121 * SECOND                                    # a canary may speak that long after it was sent
WORDS = {'good', 'greets', 'bad', 'refuses', 'canary-good', 'canary-bad', 'login-good', 'login-bad',
         'blind', 'seeing', 'clock-jumped', 'clock-confirmed'}
WORKS = ('good', 'greets', 'canary-good', 'login-good')

# A real failure: words that cannot occur in it, and words with the longest time without one.
FAILURES = {
    'killed': (WORKS, {'bad': MINUTE, 'canary-bad': 8 * MINUTE, 'login-bad': 6 * MINUTE}),
    'black hole': (WORKS, {'bad': MINUTE, 'canary-bad': 8 * MINUTE, 'login-bad': 6 * MINUTE}),
    '421 at once': (('good', 'greets', 'canary-good', 'login-bad'), {'bad': MINUTE, 'canary-bad': 8 * MINUTE}),
    'flapping': (('refuses',), {'bad': 2 * MINUTE, 'greets': 2 * MINUTE}),
    'accepts and loses': (('canary-good', 'login-bad'), {'canary-bad': 8 * MINUTE, 'greets': MINUTE}),
    'log-in dead': (('login-good', 'canary-bad'), {'login-bad': 6 * MINUTE, 'greets': MINUTE}),
    'disk full, nobody can log in': (('good', 'canary-good', 'login-good'),
                                     {'refuses': HOUR, 'canary-bad': 8 * MINUTE, 'login-bad': 6 * MINUTE}),
}
for what in ('4xx to everything', '5xx to everything', 'disk full'):
    FAILURES[what] = (('good', 'canary-good', 'login-bad'),
                      {'refuses': HOUR, 'canary-bad': 8 * MINUTE, 'greets': MINUTE})

# A glitch: shortest and longest, and a word that must occur in it (None: it may be too short to be noticed).
GLITCHES = {
    'nightly restart': (30 * SECOND, 90 * SECOND, 'bad'),
    'reboot': (120 * SECOND, 270 * SECOND, 'bad'),
    'reboot again': (120 * SECOND, 270 * SECOND, 'bad'),
    'our uplink cut': (MINUTE, HOUR + MINUTE, 'blind'),
    'clock jumped': (MINUTE, 3 * HOUR, 'clock-jumped'),
    'one mailbox over quota': (2 * HOUR, 5 * HOUR, 'refuses'),
    'greylisting some mail': (5 * MINUTE, 5 * MINUTE, None),
    'resolver hiccup': (20 * SECOND, 120 * SECOND, None),
    'antivirus update': (200 * SECOND, 500 * SECOND, 'canary-bad'),
    'network blip': (5 * SECOND, 60 * SECOND, None),
}

Window = collections.namedtuple('Window', 'begin end kind what')


def parse(lines):
    windows, events = [], []
    for line in lines:
        if line.startswith('#'):
            kind, begin, end, what = line[2:].split(' ', 3)
            windows.append(Window(int(begin), int(end), kind, what))
        else:
            at, word = line.split(' ')
            events.append((int(at), word))
    return windows, events


def check_order(windows, events, days):
    for (before, _), (at, word) in zip(events, events[1:]):
        if at <= before:
            yield f'{at} {word}: not after the line before'
    for at, word in events:
        if word not in WORDS or not START_MS <= at < START_MS + days * DAY:
            yield f'{at} {word}: unknown word or outside the month'
    for a, b in zip(windows, windows[1:]):
        least = 30 * MINUTE
        if b.what == 'reboot again':
            least = 10 * MINUTE
        if b.begin - a.end < least or a.end <= a.begin:
            yield f'{b.begin} {b.what}: too near to {a.what} or empty'


def check_failures(windows, days):
    real = [w for w in windows if w.kind == 'real']
    if not (2 if days >= 30 else 1) <= len(real) <= max(6, days // 5):
        yield f'{len(real)} real failures'
    for a, b in zip(real, real[1:]):
        if b.begin - a.end < 6 * HOUR:
            yield f'{b.begin} {b.what}: less than 6 hours after the failure before'
    for w in real:
        if not 8 * MINUTE <= w.end - w.begin <= max(72, 2.4 * days) * HOUR:
            yield f'{w.begin} {w.what}: lasts {w.end - w.begin} ms'


def times_of(events):
    times = collections.defaultdict(list)
    for at, word in events:
        times[word].append(at)
    return times


def inside(times, begin, end):
    return times[bisect.bisect_left(times, begin):bisect.bisect_left(times, end)]


def check_evidence(windows, times):
    for w in windows:
        if w.kind == 'glitch':
            least, most, word = GLITCHES[w.what]
            if not least <= w.end - w.begin <= most:
                yield f'{w.begin} {w.what}: lasts {w.end - w.begin} ms'
            if word and not inside(times[word], w.begin, w.end):
                yield f'{w.begin} {w.what}: without {word}'
            continue
        never, needs = FAILURES[w.what]
        for word in never:
            # Single recipients are refused in normal life too, and single canaries are read late.
            late = LATE_MS if word.startswith('canary') else 15 * SECOND
            found = inside(times[word], w.begin + late, w.end)
            if found and not (word == 'refuses' and len(found) * 50 < len(inside(times['good'], w.begin, w.end))):
                yield f'{found[0]} {word}: impossible in {w.what} since {w.begin}'
        for word, longest in needs.items():
            seen = [w.begin] + inside(times[word], w.begin, w.end) + [w.end]
            gap = max(b - a for a, b in zip(seen, seen[1:]))
            if gap > longest or len(seen) == 2:
                yield f'{w.begin} {w.what}: {gap} ms without {word}'


def check_pairs(windows, times):
    """Our own troubles begin and end in turn, in windows of their own, and `blind` comes after a failure."""
    for what, first, second in (('our uplink cut', 'blind', 'seeing'),
                                ('clock jumped', 'clock-jumped', 'clock-confirmed')):
        own = [w for w in windows if w.what == what]
        if not len(own) == len(times[first]) == len(times[second]):
            yield f'{what}: {len(own)} windows, {len(times[first])} begun, {len(times[second])} ended'
        for w, begin, end in zip(own, times[first], times[second]):
            if not w.begin <= begin < end <= w.end:
                yield f'{w.begin} {what}: {begin} to {end} is not within'
            bad = inside(times['bad'], w.begin, begin)
            if first == 'blind' and not (bad and 2 * SECOND <= begin - bad[0] <= 15 * SECOND + 5):
                yield f'{begin} blind: not 2 to 15 s after the first failure'


def check_calm(windows, events):
    """Outside the truth's windows life is normal; outside failures and cuts no run proves anything."""
    begins = [w.begin for w in windows]
    runs, counts = collections.Counter(), collections.Counter()
    for at, word in events:
        i = bisect.bisect_right(begins, at) - 1
        w = windows[i] if i >= 0 else None
        is_over = w is None or at >= w.end + LATE_MS
        if w and not is_over and (w.kind == 'real' or w.what == 'our uplink cut'):
            runs.clear()
            continue
        for source in ('canary', 'login'):
            if word.startswith(source):
                runs[source] = runs[source] + 1 if word.endswith('-bad') else 0
                if runs[source] > (2 if source == 'canary' else 1):
                    yield f'{at} {word}: {runs[source]} in a row without a failure'
        counts[word] += is_over
    n = counts['good'] + counts['greets']
    if counts['bad'] > n * 0.005 or counts['refuses'] > counts['good'] * 0.005:
        yield f'noise: {counts["bad"]} bad, {counts["refuses"]} refused, {n} well'
    if counts['login-bad']:
        yield f'{counts["login-bad"]} log-ins failed in quiet times'


def check_volume(windows, times, days):
    """Deliveries that went well, on days without a failure; 5 % beside the promise for what crosses midnight."""
    for day in range(days):
        begin = START_MS + day * DAY
        if any(w.begin < begin + DAY and w.end > begin - HOUR and
               (w.kind == 'real' or w.what == 'our uplink cut') for w in windows):
            continue
        n = len(inside(times['good'], begin, begin + DAY))
        if not 1425 <= n <= 10500:
            yield f'day {day}: {n} messages'


def run(lines, days):
    windows, events = parse(lines)
    times = times_of(events)
    findings = [*check_order(windows, events, days), *check_failures(windows, days),
                *check_evidence(windows, times), *check_pairs(windows, times),
                *check_calm(windows, events), *check_volume(windows, times, days)]
    n_bytes = sum(len(line) + 1 for line in lines)
    if n_bytes > BYTES_MAX:
        findings.append(f'{n_bytes} bytes')
    for finding in findings[:20]:
        print(finding)
    real = [f'{w.what} {(w.end - w.begin) // MINUTE} min' for w in windows if w.kind == 'real']
    print(f'{len(findings)} findings; {len(events)} events, {n_bytes} bytes, {len(windows) - len(real)} glitches, '
          f'real: {"; ".join(real)}')
    return 1 if findings else 0
