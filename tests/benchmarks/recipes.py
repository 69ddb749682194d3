"""Parameters, steps per second and peak memory of every recipe: ``python -P tests/benchmarks/recipes.py``.

Each recipe is built at its size/small on the shape of the built-in EEG or fMRI, and brainmagick and ubp at full size as
well, and trained on random numbers: forward, loss, backward, optimiser. Steps are those in a second of one core's time,
so that other work on the machine counts little. Every case runs in a process of its own, so that the peak is its own;
what a process needs before it builds anything is subtracted. Nothing is read from disk.
"""

import argparse
import json
import multiprocessing
import resource
import time
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import ArgumentParser

from neurodecode.core.targets import TargetSpace
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.training.batches import Batch
from neurodecode.training.config_files import read_config
from neurodecode.training.configuration import compose
from neurodecode.training.encode_task import EncodeTask
from neurodecode.training.recipe_cards import Card, Size, read_card, recipe_files
from neurodecode.training.recipes import layouts_for, n_parameters
from neurodecode.training.short_names import import_built_ins
from neurodecode.training.solved_readouts import SolvedReadouts
from neurodecode.training.task import Task

CUBE = (14, 14, 14)
FULL = ("brainmagick", "ubp")
FULL_BATCH = 64
#: Rows of a recipe whose step is over all of training.
ALL_ROWS = 3000
SECONDS = 3.0


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def small_input(card: Card) -> Size:
    """The shape of the built-in EEG, or of the built-in fMRI for recipes of maps."""
    reference = card.sizes[0]
    if reference.times > 1:
        return Size("built-in EEG", subjects=1, channels=63, times=40, sfreq=50.0, targets={"last": 100})
    cube = CUBE if reference.grid is not None else None
    channels = CUBE[0] * CUBE[1] * CUBE[2] if cube else 1500
    return Size("built-in fMRI", channels=channels, times=1, targets={"last": 100}, grid=cube,
                regions=min(reference.regions, 10))  # fmt: skip


def overlays_of(path: Path) -> tuple[Path, ...]:
    size = path.parent.parent / "size"
    own = size / "small" / path.name
    return (own,) if own.exists() else (size / "small.yaml",)


def configuration(path: Path, overlays: tuple[Path, ...]) -> dict[str, Any]:
    return compose(read_config(file) for file in (path, *overlays))


def task_of(model: dict[str, Any], size: Size) -> Task:
    """Build the whole task, as ``fit`` does, for data that is not there."""
    subjects = {
        subject: {"n_channels": len(layout.names), "sfreq": size.sfreq, "sensors": layout.to_plain()}
        for subject, layout in layouts_for(size).layouts.items()
    }
    targets = {}
    for name, shape in size.targets.items():
        flat = shape if isinstance(shape, int) else shape[-1]
        space = TargetSpace("none", "00", name, "none", "none", False, "vector", (flat,))
        targets[name] = {"size": shape, "space": space.to_dict()}
    interface = {"subjects": subjects, "n_times": size.times, "targets": targets}
    import_built_ins()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Task, "model")
    settings = {**model["init_args"], "interface": interface, "warm_start": "none"}
    if "warm_start" not in model["init_args"]:
        settings.pop("warm_start")
    found: Task = parser.instantiate(parser.parse_object({"model": {**model, "init_args": settings}})).model
    return found


def random_batch(size: Size, count: int) -> Batch:
    sensors = layouts_for(size)
    share = [count // len(sensors) + (number < count % len(sensors)) for number in range(len(sensors))]
    groups, begin = [], 0
    for (subject, channels), rows in zip(sensors.items(), share, strict=True):
        if rows:
            place = torch.arange(begin, begin + rows)
            groups.append(SubjectBatch(subject, torch.randn(rows, channels, size.times), place // 8, place % 8))
            begin += rows
    shapes = {name: [shape] if isinstance(shape, int) else shape for name, shape in size.targets.items()}
    targets = {name: torch.randn(count, *shape) for name, shape in shapes.items()}
    index = torch.arange(count)
    return Batch(groups, targets, [str(number) for number in range(count)], index, torch.ones_like(index), index)


def solved_readouts(task: Task, batch: Batch) -> SolvedReadouts | None:
    """Give the readouts that are solved for, of a task that is trained by their evidence."""
    if not isinstance(task, EncodeTask) or task.evidence is None:
        return None
    windows = {group.subject: (group.signal.numpy(), np.arange(len(group)).astype(str)) for group in batch.groups}
    return SolvedReadouts(task.encoder, task.evidence, windows, batch)


def measure(name: str, full: bool) -> dict[str, Any]:
    warnings.simplefilter("ignore")  # there is no trainer to log to
    torch.manual_seed(0)
    torch.set_num_threads(1)
    path = recipe_files()[name]
    card = read_card(path)
    size = card.sizes[0] if full else small_input(card)
    settings = configuration(path, () if full else overlays_of(path))
    count = FULL_BATCH if full else min(int(settings["data"]["init_args"]["batch_size"]), ALL_ROWS)
    before = peak_megabytes()
    task = task_of(settings["model"], size).train()
    assert task._optimizer is not None
    optimizer = task._optimizer([parameter for parameter in task.parameters() if parameter.requires_grad])
    batch = random_batch(size, count)

    solved = solved_readouts(task, batch)

    def step() -> None:
        loss = task.training_step(batch, 0) if solved is None else solved.loss()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step()
    begin, steps = time.process_time(), 0
    while time.process_time() - begin < SECONDS or not steps:
        step()
        steps += 1
    seconds = time.process_time() - begin
    return {
        "recipe": name,
        "size": "full" if full else "small",
        "batch": count,
        "parameters": n_parameters(task.networks()["encoder"]),
        "steps_per_second": round(steps / seconds, 2),
        "peak_megabytes": round(peak_megabytes() - before),
    }


def report(name: str, full: bool, sender: Connection) -> None:
    """Send what was measured, or why nothing was."""
    try:
        sender.send(measure(name, full))
    except Exception as error:
        sender.send({"recipe": name, "size": "full" if full else "small", "failed": f"{type(error).__name__}: {error}"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="recipes; all by default")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    known = {name: read_card(path) for name, path in recipe_files().items()}
    cases = [(name, False) for name, card in known.items() if card.command == "fit"] + [(name, True) for name in FULL]
    cases = [case for case in cases if not arguments.names or case[0] in arguments.names]
    context = multiprocessing.get_context("fork")  # what is imported is shared, the peak is each child's own
    print(f"{'recipe':20s} {'size':6s} {'batch':>6s} {'parameters':>12s} {'steps/s':>8s} {'peak MB':>8s}", flush=True)
    for name, full in cases:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=report, args=(name, full, sender))
        process.start()
        row = receiver.recv()
        process.join()
        if arguments.json or "failed" in row:
            print(json.dumps(row), flush=True)
            continue
        print(
            f"{row['recipe']:20s} {row['size']:6s} {row['batch']:6d} {row['parameters']:12,d} "
            f"{row['steps_per_second']:8.2f} {row['peak_megabytes']:8d}",
            flush=True,
        )


if __name__ == "__main__":
    main()
