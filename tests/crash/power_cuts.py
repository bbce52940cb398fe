# SPDX-License-Identifier: ISC
"""The two ways to cut the power: a file system that is shut down under load,
and images of a logged disk, each with what a write cache might have kept."""
import contextlib
import os
import pathlib
import pickle
import random
import shutil
import tempfile
import time

from power_check import Check, Result
from power_load import NOW, Record
from power_world import LoggedDisk, World, run, unmount

SCRATCH = "/dev/shm"
load_s = 3.0    # of load, until a cut or for a recording


def make_scratch():
    """Not on a disk, and reachable for the roles' users."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-power-", dir=SCRATCH))
    folder.chmod(0o755)
    return folder


@contextlib.contextmanager
def scratch():
    folder = make_scratch()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def copy(source, target):
    run("cp", "--sparse=always", source, target)


# ---- shutting down ----

def shut_down(world, base, seed, flags):
    """One cut on a fresh disk; the Result."""
    rng = random.Random(seed)
    copy(base, world.disk)
    world.net.record = Record()
    world.mount()
    try:
        world.start()
        world.net.begin(seed, rng.choice(["mixed", "mixed", "spool"]))
        time.sleep(rng.uniform(0.2, load_s))
        run("xfs_io", "-x", "-c", " ".join(["shutdown", *flags]), world.var)
        cut_at = time.time()
        # what was on its way may still be answered, but not with a 250
        time.sleep(rng.uniform(0, 0.1))
        world.net.halt()
        world.kill()
        unmount(world.var)
        world.mount()
        return Check(world, world.net.record, 0, cut_at).run()
    finally:
        world.kill()
        unmount(world.var)


def cut_worker(fs, flags, seeds, say):
    """A cut for each seed; say(seed, Result) after each."""
    with scratch() as folder, \
            contextlib.closing(World(folder / "w", fs)) as world:
        base = folder / "base"
        os.rename(world.disk, base)
        for seed in seeds:
            say(seed, shut_down(world, base, seed, flags))


# ---- images ----

class Recording:
    """A load on a logged disk: base image, log of writes, and the record.  On a
    new spool when fresh; after a cut of a recording before it when `prior` is
    (recording, cut, generator): what has to outlive both is in the record."""

    def __init__(self, fs, seed, profile, fresh=False, prior=None, bin_=None,
                 rate=0):
        self.fs, self.seed, self.life, self.rate = fs, seed, 0, rate
        self.folder = make_scratch()
        self.base, self.log = self.folder / "base", self.folder / "writes"
        try:
            with contextlib.closing(
                    World(self.folder / "w", fs, fresh)) as world:
                self.make(world, profile, prior, bin_)
            self.writes = LoggedDisk.read(self.log)
        except BaseException:
            self.close()
            raise

    def make(self, world, profile, prior, bin_):
        if prior:
            self.life = world.net.life = prior[0].life + 1
            world.net.record = prior[0].record.until(prior[1])
            with contextlib.closing(Player(prior[0], self.folder)) as player:
                player.image(prior[1], prior[2], world.disk)
        copy(world.disk, self.base)
        with contextlib.closing(LoggedDisk(self.folder, world.disk)) as disk:
            try:
                self.load(world, disk, profile, bin_)
            finally:
                world.kill()
                if os.path.ismount(world.var):
                    unmount(world.var)

    def load(self, world, disk, profile, bin_):
        world.mount(disk.path)
        self.first = disk.position()
        world.net.position = disk.position
        world.start(bin_)
        self.ready = disk.position()
        world.net.begin(self.seed, profile, rate=self.rate)
        time.sleep(load_s)
        for _ in range(200):  # on a busy machine, too, there is what can be lost
            if any(m.acked > 0 for m in list(world.net.record.sent.values())):
                break
            time.sleep(0.1)
        self.last = disk.position()
        world.net.halt()
        self.record = world.net.record

    def close(self):
        shutil.rmtree(self.folder)

    def keep(self):
        """To be looked at; the folder."""
        with open(self.folder / "recording", "wb") as f:
            pickle.dump(self, f)
        return self.folder

    @staticmethod
    def kept(folder):
        with open(pathlib.Path(folder) / "recording", "rb") as f:
            return pickle.load(f)


class Player:
    """Makes images of a recording, for ever later positions."""

    def __init__(self, recording, folder):
        self.recording = recording
        self.rolling = folder / "rolling"
        copy(recording.base, self.rolling)
        self.disk = open(self.rolling, "r+b", buffering=0)
        self.log = open(recording.log, "rb", buffering=0)
        self.applied = 0

    def close(self):
        self.disk.close()
        self.log.close()
        self.rolling.unlink()

    def bytes(self, write):
        return os.pread(self.log.fileno(), write[2], write[4])

    def image(self, cut, rng, path):
        """At path, the disk as a cut after `cut` records may have left it; how
        that was chosen."""
        writes = self.recording.writes
        flushed = cut
        while flushed > 0 and not writes[flushed - 1][0]:
            flushed -= 1
        for w in writes[self.applied:flushed]:
            os.pwrite(self.disk.fileno(), self.bytes(w), w[1])
        self.applied = max(self.applied, flushed)
        copy(self.rolling, path)
        keep = rng.choice([0.0, 0.1, 0.5, 0.5, 0.9, 1.0])
        # XFS takes the blocks of its metadata for whole or old
        units = [0, 0, 4096] + [512] * (self.recording.fs == "ext4")
        unit = rng.choice(units)
        kept = 0
        with open(path, "r+b", buffering=0) as image:
            # where two writes meet, a cache keeps the later, and may have
            # written out the earlier: in this order all of that comes about
            for w in writes[flushed:cut]:
                kept += self.put(image, w, keep, unit, rng)
        return (f"cut={cut} cached={cut - flushed} share={keep} "
                f"unit={unit or 'write'} kept={kept}")

    def put(self, image, write, share, unit, rng):
        data, step = self.bytes(write), unit or write[2]
        kept = 0
        for at in range(0, len(data), step or 1):
            if rng.random() < share:
                os.pwrite(image.fileno(), data[at:at + step], write[1] + at)
                kept += 1
        return kept


def choose(recording, rng):
    """Just where a client had its 250, for nothing that came later may be
    needed; or while the suite started; or just before a flush, when the cache
    is fullest; or anywhere."""
    acks = [m.acked for m in recording.record.sent.values()
            if recording.ready <= m.acked <= recording.last]
    kind = rng.random()
    if acks and kind < 0.4:
        return rng.choice(acks)
    if kind < 0.5:
        return rng.randint(recording.first, recording.ready)
    cut = rng.randint(recording.first, recording.last)
    while kind < 0.75 and cut < recording.last and \
            not recording.writes[cut][0]:
        cut += 1
    return cut


def image_worker(recording, seeds, say):
    """An image of the recording for each seed; say(seed, Result) after each,
    which ends it by returning True."""
    chosen = []
    for seed in seeds:
        rng = random.Random(seed)
        chosen.append((choose(recording, rng), seed, rng))
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch())
        world = stack.enter_context(
            contextlib.closing(World(folder / "w", recording.fs)))
        player = stack.enter_context(
            contextlib.closing(Player(recording, folder)))
        path = folder / "image"
        for cut, seed, rng in sorted(chosen, key=lambda c: c[:2]):
            how = player.image(cut, rng, path)
            result = play(world, recording, cut, path)
            result.problems = [f"{how}: {p}" for p in result.problems]
            if say(seed, result):
                break


def play(world, recording, cut, path):
    world.net.record, world.net.stage = recording.record, NOW
    world.net.life = recording.life
    cut_at = recording.writes[cut - 1][3] / 1e6 if cut else 0
    try:
        world.mount(path)
    except RuntimeError as e:
        return Result(cuts=1, problems=[f"file system: {e}"])
    try:
        return Check(world, recording.record, cut, cut_at).run()
    finally:
        world.kill()
        unmount(world.var)
