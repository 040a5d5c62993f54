"""A training run that is killed again and again: run by ``test_kill`` as a program of its own.

It prints, as JSON: how often it was killed, after how many kills there was a half-written file,
what of that is left in the end, a hash of all that the run came to, and that of one that never
stopped.
"""

import hashlib
import json
import os
import signal
import sys
import time
from itertools import count
from pathlib import Path

import numpy as np

import nn
from nn.training import Checkpoint, EarlyStopping, Trainer, read_checkpoint
from tests.nn.training.runs import everything, model_of_all_sorts

EPOCHS = 60

_open = Path.open


class SlowFile:
    """A file that is written a little at a time, so that a kill finds it half-written."""

    def __init__(self, file):
        self.file = file

    def write(self, content):
        for start in range(0, len(content), 2048):
            self.file.write(content[start : start + 2048])
            self.file.flush()
            time.sleep(0.002)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


def open_slowly(path, mode="r", **options):
    file = _open(path, mode, **options)
    return SlowFile(file) if path.suffix == ".part" else file


def train(path, resume=None):
    nn.manual_seed(0)
    model = model_of_all_sorts()
    optimizer = nn.optim.AdamW(model.parameters(), lr=0.02)
    callbacks = [EarlyStopping(EPOCHS), Checkpoint(path)]
    trainer = Trainer(model, optimizer, ema=nn.optim.EMA(model, 0.9), callbacks=callbacks)
    loader = nn.data.DataLoader(nn.data.xor(64), 8, shuffle=True, prefetch=1)
    trainer.fit(loader, 0.25, EPOCHS, resume)
    return hashlib.sha256(repr(plain(everything(trainer))).encode()).hexdigest()


def plain(tree):
    if isinstance(tree, dict):
        return [(name, plain(tree[name])) for name in sorted(tree)]
    if isinstance(tree, list | tuple):
        return [plain(branch) for branch in tree]
    return (str(tree.dtype), tree.tobytes()) if isinstance(tree, np.ndarray) else repr(tree)


def killed(path, seconds):
    """Go on with the run in a process of its own; kill it after a while, if it is not done."""
    child = os.fork()
    if not child:
        Path.open = open_slowly
        status = 1
        try:
            train(path, path if path.exists() else None)
            status = 0
        finally:
            os._exit(status)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert status == 0, f"the resumed run failed with {status}"
            return False
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def main(folder):
    path = folder / "run.safetensors"
    kills = in_mid_write = most = 0
    # A little longer each time round, so that it gets somewhere, at moments that are all different.
    for i in count():
        if not killed(path, 0.02 + 0.0111 * (i % 10) + 0.003 * i):
            break
        kills += 1
        if path.exists():
            epoch = len(read_checkpoint(path)["history"])  # whole, whenever it was killed
            assert epoch >= most, f"the file went back from epoch {most} to {epoch}"
            most = epoch
        in_mid_write += any(p.suffix == ".part" for p in folder.iterdir())
    left = [p.name for p in folder.iterdir() if p != path]
    resumed, whole = train(path, path), train(folder / "whole.safetensors")
    print(json.dumps([kills, in_mid_write, left, resumed, whole]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
