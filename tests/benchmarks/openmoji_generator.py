"""Export the built-in generator from a checkpoint, measure how well its pictures follow embeddings, write its card.

    python tests/benchmarks/openmoji_generator.py generators/openmoji --checkpoint last.ckpt --pairs FOLDER --splits val

The test split is only looked at when it is named, which is done once, for the final card: nothing is chosen by it.
"""

import argparse
import contextlib
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from neurodecode.core.files import read_json
from neurodecode.datasets.openmoji import render, stimuli
from neurodecode.encoders.stimulus.alexnet import AlexNetEncoder
from neurodecode.evaluation.picture_metrics import pearson_pairs, pixcorr_pairs, two_way_pairs
from neurodecode.generators.openmoji_pipeline import BuiltInGenerator
from neurodecode.training.generate_data import last_layer_embedder, small_pictures
from neurodecode.training.generate_export import export_pipeline, unseen_stimuli, write_card
from neurodecode.training.targets_extraction import target_space

LAYERS = {"AlexNet(2)": "conv2", "AlexNet(5)": "conv5"}
SHUFFLES = 100


def features(pictures: NDArray[np.uint8], encoder: AlexNetEncoder, *, half: bool) -> dict[str, NDArray[np.float32]]:
    """Compute AlexNet's second and fifth convolution for pictures."""
    parts: dict[str, list[NDArray[np.float32]]] = {layer: [] for layer in LAYERS.values()}
    for start in range(0, len(pictures), 8):
        chunk = [Image.fromarray(picture) for picture in pictures[start : start + 8]]
        with torch.autocast("cpu", torch.bfloat16) if half else contextlib.nullcontext():
            for layer, values in encoder.encode(chunk).items():
                parts[layer].append(values)
    return {layer: np.concatenate(values) for layer, values in parts.items()}


def measure(generator: BuiltInGenerator, split: str, encoder: AlexNetEncoder, *, half: bool) -> list[dict[str, str]]:
    """Score pictures from true, shuffled and no embeddings of one split."""
    table = stimuli()
    names = table["stimulus"][table["split"] == split].tolist()
    generator.require_unseen(names)
    embed, _ = last_layer_embedder()
    pictures = [render(name) for name in names]
    size = int(generator.pipeline.network.config.image_size)
    true = small_pictures(pictures, size)
    embeddings = embed(pictures)
    started = time.perf_counter()
    made = generator.generate(embeddings, seed=0, keys=names)[:, 0]
    seconds = (time.perf_counter() - started) / len(names)
    prior = generator.prior(len(names), seed=0, keys=names)[:, 0]
    true_features = features(true, encoder, half=half)
    rows = []
    # A permuted row of pictures is the same as pictures from permuted embeddings, up to the noise they start from.
    orders = [np.random.default_rng([0, draw]).permutation(len(names)) for draw in range(SHUFFLES)]
    for label, drawn in (("true embeddings", made), ("prior alone", prior)):
        drawn_features = features(drawn, encoder, half=half)
        similarities = {
            name: pearson_pairs(drawn_features[layer], true_features[layer]) for name, layer in LAYERS.items()
        }
        pairs = {name: two_way_pairs(values) for name, values in similarities.items()}
        pairs["PixCorr"] = pixcorr_pairs(drawn, true)
        speed = f"{seconds:.2f} s" if label == "true embeddings" else ""
        own = {name: f"{values.diagonal().mean():.3f}" for name, values in pairs.items()}
        rows.append({"split": split, "pictures from": label, "n": str(len(names)), **own, "time a picture": speed})
        if label == "true embeddings":
            columns = np.arange(len(names))
            shuffled = {
                name: f"{np.mean([values[order, columns].mean() for order in orders]):.3f}"
                for name, values in pairs.items()
            }
            kind = {"split": split, "pictures from": "shuffled embeddings", "n": str(len(names))}
            rows.append({**kind, **shuffled, "time a picture": ""})
    return rows


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="export this checkpoint to the folder first")
    parser.add_argument("--pairs", type=Path, required=True, help="folder of the training pairs, for the card")
    parser.add_argument("--splits", nargs="*", default=["val"], choices=["val", "test"])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--shift", type=float, default=1.0)
    parser.add_argument("--note", default="", help="what was special about this training, for the card")
    parser.add_argument("--half", action="store_true", help="run AlexNet in bfloat16")
    options = parser.parse_args()
    if options.checkpoint is not None:
        export_pipeline(
            options.checkpoint,
            options.folder,
            space=target_space(last_layer_embedder()[1], "last", (1280,)),
            unseen=unseen_stimuli(),
            steps=options.steps,
            guidance=options.guidance,
            shift=options.shift,
        )
    generator = BuiltInGenerator.load(options.folder)
    encoder = AlexNetEncoder(layers=tuple(LAYERS.values()), pooling="flatten", size=256)
    rows = [row for split in options.splits for row in measure(generator, split, encoder, half=options.half)]
    for row in rows:
        print(row, flush=True)
    drawings = read_json(options.pairs / "complete.json")
    command = "python tests/benchmarks/openmoji_generator.py generators/openmoji --pairs FOLDER --splits"
    write_card(
        options.folder,
        n_study=len(drawings["study"]),
        n_extra=len(drawings["extra"]),
        measurements=rows,
        note=options.note,
        command=" ".join([command, *(options.splits or ["val", "test"]), *(["--half"] if options.half else [])]),
    )


if __name__ == "__main__":
    main()
