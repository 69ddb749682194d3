"""Parameters, steps per second and peak memory of every recipe: ``python -P tests/benchmarks/recipes.py``.

Each recipe is built at its size/small on the shape of the built-in EEG, and brainmagick and ubp at full size as well,
and trained on random numbers: forward, loss, backward, optimiser. Every case runs in a process of its own, so that the
peak is its own; what a process needs before it builds anything is subtracted. Nothing is read from disk.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentParser

from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.training.batches import Batch
from neurodecode.training.objectives import Objective, ObjectiveSum
from neurodecode.training.presets import preset
from neurodecode.training.recipes import Size, build_recipe, layouts_for, merge, n_parameters, read_card, recipe_files

EEG = Size("built-in EEG", subjects=1, channels=63, times=40, sfreq=50.0, targets={"last": 100})
FMRI = Size("built-in fMRI", subjects=1, channels=1500, times=1, targets={"last": 100})
FULL = ("brainmagick", "ubp")
FULL_BATCH = 64
SECONDS = 10.0


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def overlays_of(path: Path) -> tuple[Path, ...]:
    size = path.parent.parent / "size"
    own = size / "small" / path.name
    return (own,) if own.exists() else (size / "small.yaml",)


def configuration(path: Path, overlays: tuple[Path, ...]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for file in (path, *overlays):
        merged = merge(merged, yaml.safe_load(file.read_text()))
    return merged


def objectives_of(settings: dict[str, Any]) -> ObjectiveSum:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--objectives", type=list[Objective] | str)
    found = parser.instantiate(parser.parse_object({"objectives": settings["objectives"]})).objectives
    return ObjectiveSum(preset(found) if isinstance(found, str) else found)


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


def measure(name: str, full: bool) -> dict[str, Any]:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    path = recipe_files()[name]
    card = read_card(path)
    overlays = () if full else overlays_of(path)
    size = card.sizes[0] if full else FMRI if name == "residual_mlp" else EEG
    settings = configuration(path, overlays)
    count = FULL_BATCH if full else int(settings["data"]["init_args"]["batch_size"])
    before = peak_megabytes()
    encoder, image_side = build_recipe(path, size, device="cpu", overlays=overlays)
    objectives = objectives_of(settings["model"]["init_args"])
    parameters = [*encoder.parameters(), *objectives.parameters()]
    parameters += [] if image_side is None else list(image_side.parameters())
    chosen = settings["model"]["init_args"]["optimizer"]
    optimizer = getattr(torch.optim, chosen["class_path"].rsplit(".", 1)[1])(parameters, **chosen["init_args"])
    batch = random_batch(size, count)

    def step() -> None:
        mixed = objectives.before_encoder(batch, 0.0)
        references = dict(batch.targets)
        if image_side is not None:
            references["retrieval"] = image_side(batch.targets)
        loss, _ = objectives(encoder(mixed.groups), references, mixed, 0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step()
    begin, steps = time.perf_counter(), 0
    while time.perf_counter() - begin < SECONDS:
        step()
        steps += 1
    seconds = time.perf_counter() - begin
    return {
        "recipe": name,
        "size": "full" if full else "small",
        "input": f"{size.subjects} x {count} x {size.channels} x {size.times}",
        "batch": count,
        "parameters": n_parameters(encoder),
        "steps_per_second": round(steps / seconds, 2),
        "peak_megabytes": round(peak_megabytes() - before),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", help="a recipe, measured in this process")
    parser.add_argument("--full", action="store_true", help="with --one: at full size")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.full)))
        return
    cases = [(name, False) for name, path in recipe_files().items() if read_card(path).command == "fit"]
    cases += [(name, True) for name in FULL]
    print(f"{'recipe':20s} {'size':6s} {'batch':>6s} {'parameters':>12s} {'steps/s':>8s} {'peak MB':>8s}")
    for name, full in cases:
        command = [sys.executable, "-P", __file__, "--one", name, *(["--full"] if full else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{name:20s} failed: {done.stderr.strip().splitlines()[-1]}")
            continue
        row = json.loads(done.stdout.strip().splitlines()[-1])
        print(
            f"{row['recipe']:20s} {row['size']:6s} {row['batch']:6d} {row['parameters']:12,d} "
            f"{row['steps_per_second']:8.2f} {row['peak_megabytes']:8d}"
        )


if __name__ == "__main__":
    main()
