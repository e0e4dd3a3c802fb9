"""A month of every generator with ten fixed seeds and one of today, through the decision.

    month.py MONTH_PLAY          MONTH_SEED in the environment chooses the one of today
"""

import concurrent.futures
import os
import pathlib
import random
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
FIXED = range(1, 11)
FIGURES = ("evidence", "suspected", "declared ", "emergencies")


def play(player, generator, seed):
    source = subprocess.Popen([sys.executable, generator, str(seed)], stdout=subprocess.PIPE)
    judge = subprocess.run([player, "--quiet"], stdin=source.stdout, stdout=subprocess.PIPE,
                           text=True, check=False)
    source.stdout.close()
    is_good = source.wait() == 0 and judge.returncode == 0
    lines = judge.stdout.splitlines()
    figures = "; ".join(line for line in lines if line.startswith(FIGURES))
    text = [f"{generator.name} {seed}: {'ok' if is_good else 'FAILED'}: {figures}"]
    text += [f"    {line}" for line in lines if line.startswith("WRONG")]
    text += [] if is_good else [f"    again: {generator.name} {seed} | month_play"]
    return is_good, "\n".join(text)


def stream(remark, word, minutes):
    """Well, then the word every second, then well for half an hour."""
    began = 1_767_571_200_000
    until = began + 600_000 + minutes * 60_000
    times = range(began, until + 1_800_000, 1000)
    return remark.format(began + 600_000, until) + "\n" + "\n".join(
        f"{t} {word if began + 600_000 <= t < until else 'good'}" for t in times) + "\n"


def judge_is_awake(player):
    """Streams of which the judge must find just this."""
    rows = [
        ("# glitch {} {} not real", "bad", 10, 1, "a false emergency"),
        ("", "bad", 3, 1, "people were told of nothing"),
        ("# real {} {} real", "bad", 10, 0, ""),
        ("# glitch {} {} a reboot", "bad", 5, 0, ""),
        ("# real {} {} nobody sees it", "good", 10, 1, "too many failures show in no evidence"),
        ("# unreal", "worse", 1, 2, ""),
    ]
    for remark, word, minutes, code, text in rows:
        judge = subprocess.run([player, "--quiet"], input=stream(remark, word, minutes),
                               capture_output=True, text=True, check=False)
        assert judge.returncode == code and text in judge.stdout, (remark, word, judge)
    by_hand = subprocess.run([player, "--quiet", "--emergency-after", "0"], text=True, check=False,
                             input=stream("# real {} {} real", "bad", 60), capture_output=True)
    assert by_hand.returncode == 0 and "emergencies 0" in by_hand.stdout, by_hand


def main():
    player = sys.argv[1]
    judge_is_awake(player)
    today = int(os.environ.get("MONTH_SEED") or random.SystemRandom().randrange(1000, 10**9))
    generators = sorted(HERE.glob("generator_?.py"))
    assert generators
    began = time.monotonic()
    months = [(player, generator, seed) for generator in generators for seed in [*FIXED, today]]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        bad = 0
        for is_good, text in pool.map(lambda month: play(*month), months):
            print(text, flush=True)
            bad += not is_good
    print(f"{len(generators)} generators, {len(FIXED) + 1} months each, the last MONTH_SEED={today}, "
          f"{bad} failed, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
