#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Cuts the power of a suite under load, again and again, and looks whether
anything that was promised is gone (INTERNALS.md, "Power cuts")."""
import argparse
import contextlib
import dataclasses
import json
import multiprocessing
import os
import pathlib
import random
import shutil
import signal
import sys
import time
import traceback

import power_cuts
from power_check import COUNTS, Result
from power_world import BIN, BUILD

FILE_SYSTEMS = ("ext4", "xfs")
ALONE = "POSTERN_POWER_ALONE"
CUTS_A_TASK, IMAGES_A_TASK, KEPT_MAX = 5, 25, 3
SHAPES = {"image": {}, "image, spool only": {"profile": "spool"},
          "image, local only": {"profile": "local"},
          "image, cut twice": {"chained": True},
          "image, drop box": {"profile": "drop"},
          "image, new spool": {"fresh": True, "profile": "spool"}}
# what loses mail, instead of which program, under which load
CONTROLS = {
    "no ring sync": ("queued-no-ring-sync", "postern-queued", "spool"),
    "no directory sync": ("queued-no-dir-sync", "postern-queued", "large"),
    "no directory sync, local": ("local-no-dir-sync", "postern-local", "local"),
}


MORE_SEEDS = 100_000


@dataclasses.dataclass
class Task:
    kind: str       # as in the table
    fs: str
    seeds: list
    flags: tuple = ()
    profile: str = "mixed"
    fresh: bool = False
    chained: bool = False


# ---- what is done in a process of its own ----

def record(task):
    seed = task.seeds[0]
    first = power_cuts.Recording(task.fs, seed, task.profile, task.fresh)
    if not task.chained:
        return first
    rng = random.Random(seed)
    try:
        return power_cuts.Recording(
            task.fs, seed + 1, task.profile,
            prior=(first, power_cuts.choose(first, rng), rng))
    finally:
        first.close()


def do_images(task, say):
    recording = record(task)
    found, acknowledged = False, 0

    def note(seed, result):
        nonlocal found, acknowledged
        found = found or result.bad
        acknowledged += result.acknowledged
        say(seed, result)
        return acknowledged > 0
    try:
        power_cuts.image_worker(
            recording, task.seeds, lambda *image: note(*image) and False)
        if not acknowledged:  # all were early: they prove nothing
            power_cuts.image_worker(recording, [
                task.seeds[-1] + i * MORE_SEEDS for i in range(1, 9)], note)
    finally:
        others = [p for p in pathlib.Path(power_cuts.SCRATCH).glob(
            "postern-power-*") if (p / "recording").exists()]
        if found and len(others) < KEPT_MAX:
            print(f"\nkept: --replay {recording.keep()}", file=sys.stderr)
        else:
            recording.close()


def do_control(task, say):
    """With a program that loses mail; ends when some is lost."""
    other, name, profile = CONTROLS[task.kind]
    with power_cuts.scratch() as folder:
        shutil.copytree(BIN, folder, dirs_exist_ok=True)
        folder.chmod(0o755)
        shutil.copy(BUILD / "tool" / other, folder / name)
        with contextlib.closing(power_cuts.Recording(
                task.fs, task.seeds[0], profile, rate=20,
                bin_=folder)) as recording:
            power_cuts.image_worker(
                recording, task.seeds,
                lambda seed, result: say(seed, result) or result.lost)


def work(tasks, answers):
    for task in iter(tasks.get, None):
        def say(seed, result, task=task):
            answers.put((task.kind, task.fs, seed, result))
        try:
            if task.kind in CONTROLS:
                do_control(task, say)
            elif task.kind.startswith("image"):
                do_images(task, say)
            else:
                power_cuts.cut_worker(task.fs, task.flags, task.seeds, say)
        except Exception:
            say(task.seeds[0], Result(
                problems=["test: " + traceback.format_exc()]))
    answers.put(None)


# ---- what there is to do ----

def chunks(count, size, kinds):
    """Numbers that add up to count, so that each kind gets some."""
    size = max(1, min(size, count // kinds))
    while count > 0:
        yield min(count, size)
        count -= size


def plan(args):
    seed = args.seed
    tasks = []

    def add(kind, fs, count, **more):
        nonlocal seed
        tasks.append(Task(kind, fs, list(range(seed, seed + count)), **more))
        seed += count
    for kind in CONTROLS if args.controls else ():
        for fs in args.fs:
            add(kind, fs, 20)
    wide = len(args.fs)
    shapes = list(SHAPES)
    for i, n in enumerate(chunks(args.images, IMAGES_A_TASK,
                                 wide * len(shapes))):
        kind = shapes[i // wide % len(shapes)]
        add(kind, args.fs[i % wide], n, **SHAPES[kind])
    for i, n in enumerate(chunks(args.cuts, CUTS_A_TASK, wide * 2)):
        flags = ("-f",) if i // wide % 2 else ()
        add(" ".join(["shutdown", *flags]), args.fs[i % wide], n, flags=flags)
    return tasks


def run(args):
    """{(kind, fs): Result}, in the order of the plan."""
    tasks, answers = multiprocessing.Queue(), multiprocessing.Queue()
    planned = plan(args)
    rows = {(t.kind, t.fs): Result() for t in planned}
    for t in [*planned, *[None] * args.jobs]:
        tasks.put(t)
    workers = [multiprocessing.Process(target=work, args=(tasks, answers),
                                       daemon=True)
               for _ in range(args.jobs)]
    for w in workers:
        w.start()
    left, began = args.jobs, time.monotonic()
    wanted = args.cuts + args.images
    while left:
        answer = answers.get(timeout=600)
        if answer is None:
            left -= 1
            continue
        kind, fs, seed, result = answer
        rows[kind, fs].add(result)
        if (result.bad and kind not in CONTROLS and not args.json) or \
                result.broken:
            say_find(kind, fs, seed, result)
        if sys.stderr.isatty():
            done = sum(r.cuts for (k, _), r in rows.items()
                       if k not in CONTROLS)
            print(f"\r\033[K{done} of {wanted} cuts, "
                  f"{time.monotonic() - began:.0f} s", end="", file=sys.stderr)
    for w in workers:
        w.join()
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return rows


def say_find(kind, fs, seed, result):
    print(f"\n{fs}, {kind}, --seed {seed}:", file=sys.stderr)
    for text in result.problems[:12]:
        print(f"  {text}", file=sys.stderr)
    if len(result.problems) > 12:
        print(f"  ... and {len(result.problems) - 12} more", file=sys.stderr)


# ---- what came of it ----

def caught(row):
    return row.lost > 0 and not row.broken


def table(rows):
    width = max(len(k) for k, _ in rows) + 2
    print(f"{'disk':6}{'cut':{width}}" +
          "".join(f"{n:>{len(n) + 2}}" for n in COUNTS))
    for (kind, fs), r in rows.items():
        said = ""
        if kind in CONTROLS:
            said = "  caught, as it must be" if caught(r) else "  NOT CAUGHT"
        print(f"{fs:6}{kind:{width}}" + "".join(
            f"{getattr(r, n):{len(n) + 2}}" for n in COUNTS) + said)
    print("""
reported: came to a next hop again, for its report was not durable yet.
removed: delivered again after its owner had deleted it.  unacked: there,
though its client had no 250.  Nothing in the last five columns is allowed.""")
    oldest = max([r.oldest_mark_ms for (k, _), r in rows.items()
                  if k not in CONTROLS], default=0)
    print(f"The oldest report that was not durable: {oldest} ms.")


def verdict(rows):
    """0 when everything was kept and each control was caught."""
    bad = [k for k, r in rows.items() if k[0] not in CONTROLS and
           (r.bad or r.acknowledged == 0)]
    bad += [k for k, r in rows.items() if k[0] in CONTROLS and not caught(r)]
    return bad


def parse():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--cuts", type=int, default=200, help="shutdowns (200)")
    p.add_argument("--images", type=int, default=500, help="images (500)")
    p.add_argument("--seed", type=int, default=int(time.time()),
                   help="of the first cut; the others count on from it")
    p.add_argument("--jobs", type=int, default=3, help="at a time (3)")
    p.add_argument("--seconds", type=float, default=power_cuts.load_s,
                   help="of load before a cut (3)")
    p.add_argument("--fs", action="append", choices=FILE_SYSTEMS,
                   help="only this file system")
    p.add_argument("--no-controls", dest="controls", action="store_false",
                   help="do not show that losses are found")
    p.add_argument("--replay", metavar="FOLDER",
                   help="one image of a kept recording, the one of --seed")
    p.add_argument("--json", action="store_true", help="a line for each row")
    args = p.parse_args()
    args.fs = args.fs or list(FILE_SYSTEMS)
    power_cuts.load_s = args.seconds
    return args


def main():
    args = parse()
    if os.geteuid() != 0:
        print("power.py: loop devices and mounts need root", file=sys.stderr)
        return 100
    if ALONE not in os.environ:
        # nobody else's namespace keeps what we mount, and it ends with us
        os.environ[ALONE] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private",
                              sys.executable, *sys.argv])
    if args.replay:
        found = []
        power_cuts.image_worker(
            power_cuts.Recording.kept(args.replay), [args.seed],
            lambda seed, result: found.append(result))
        print(*found[0].problems, found[0], sep="\n")
        return int(found[0].bad)
    # what is mounted and attached goes with us, and with the workers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not args.json:
        print(f"seed {args.seed}")
    try:
        rows = run(args)
    except KeyboardInterrupt:
        return 130
    if args.json:
        for (kind, fs), r in rows.items():
            print(json.dumps({"fs": fs, "cut": kind, **dataclasses.asdict(r)}))
    else:
        table(rows)
    bad = verdict(rows)
    if bad and not args.json:
        print("FAILED:", *[f"{fs}, {kind}" for kind, fs in bad], sep="\n  ")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
