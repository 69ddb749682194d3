"""Save a trained generator as a diffusers pipeline folder with its model card."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diffusers import FlowMatchEulerDiscreteScheduler

from neurodecode.core.errors import ConfigError
from neurodecode.core.files import atomic_folder, atomic_path, read_json, write_json
from neurodecode.core.targets import TargetSpace
from neurodecode.datasets.openmoji import stimuli
from neurodecode.datasets.openmoji_table import candidates
from neurodecode.generators.openmoji_pipeline import (
    SAMPLER_FILE,
    SPACE_FILE,
    UNSEEN_FILE,
    OpenMojiPipeline,
    load_pipeline,
)
from neurodecode.training.generate_task import GenerateTask, load_averaged

CARD = """---
license: cc-by-sa-4.0
library_name: diffusers
pipeline_tag: image-to-image
tags: [openmoji, embedding-conditional, simulated-study]
---

# Built-in generator of neurodecode: OpenMoji drawings from EfficientNet-Lite0 embeddings

Draws {size} x {size} pictures from the 1280-d last layer of EfficientNet-Lite0 (mean over space). It exists so that the
whole way from a recording to a picture runs without a download, on the study that neurodecode simulates itself.

- **Network**: hourglass patch transformer, {millions:.1f} million weights, saved in half precision; it predicts the
  clean picture.
- **Sampler**: flow matching, {steps} Euler steps, guidance {guidance:g}. Embeddings are standardised inside the network
  with the training pictures' mean and standard deviation.
- **Training**: the recipe is `configs/recipe/openmoji_generator.yaml` (task `generate`), on a CPU. Pictures: {n_study}
  training drawings of the built-in study, {n_extra} further drawings of the same font, and random changes of both;
  every embedding was computed from the changed picture.{note}
- **Never seen**: every validation and test stimulus of the built-in study, the near-duplicates left out with them
  (`unseen_stimuli.json`), any joined emoji with one of their code points, and any further drawing whose centred
  embedding has a cosine of 0.9 or more with one of them.

## Licence

The drawings are by [OpenMoji](https://openmoji.org), the open-source emoji and icon project, licence
[CC BY-SA 4.0](https://creativecommons.org/licenses/by-sa/4.0/). These weights were trained on them and carry the same
licence. The code is under the MIT licence.

## What it is not

It knows one drawing style and the drawings named above. On unseen drawings it gets shape, layout and colour
roughly right and often draws another object of that kind. A picture it makes is evidence about the embedding, not about
what a person saw; compare it with the controls that `neurodecode reconstruct` puts beside it. The encoder behind the
embedding was trained on ImageNet.

## Measured

{measured}
"""


def unseen_stimuli() -> dict[str, list[str]]:
    """List what the generator must never see: validation and test stimuli and the near-duplicates left out with them.

    Returns
    -------
    dict of str to list of str
        Keys ``val``, ``test`` and ``left_out``.
    """
    table = stimuli()
    held_out = {split: table["stimulus"][table["split"] == split].tolist() for split in ("val", "test")}
    return {**held_out, "left_out": sorted(set(candidates()) - set(table["stimulus"]))}


def write_card(
    folder: Path, *, n_study: int, n_extra: int, measurements: Sequence[Mapping[str, Any]], command: str, note: str = ""
) -> None:
    """Write the model card of an exported pipeline.

    Parameters
    ----------
    folder : Path
        The pipeline's folder.
    n_study, n_extra : int
        Drawings of the study, and further ones, that it was trained on.
    measurements : sequence of mapping
        Rows of the table of scores; empty if nothing was measured.
    command : str
        What makes them.
    note : str
        What was special about this training.
    """
    measured = f"Nothing yet; `{command}` measures it."
    if measurements:
        names = list(measurements[0])
        lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
        lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in measurements]
        measured = f"Made by `{command}`.\n\n" + "\n".join(lines)
    sampler = read_json(folder / SAMPLER_FILE)
    network = load_pipeline(folder).network
    text = CARD.format(
        size=network.config.image_size,
        millions=sum(weight.numel() for weight in network.parameters()) / 1e6,
        steps=sampler["steps"],
        guidance=sampler["guidance"],
        n_study=n_study,
        n_extra=n_extra,
        measured=measured,
        note=f" {note}" if note else "",
    )
    with atomic_path(folder / "README.md") as temporary:
        temporary.write_text(text, encoding="utf-8")


def export_pipeline(
    trained: GenerateTask | Path,
    folder: Path,
    *,
    space: TargetSpace,
    unseen: Mapping[str, Sequence[str]],
    steps: int = 8,
    guidance: float = 1.0,
    shift: float = 1.0,
) -> Path:
    """Save the averaged weights of a trained generator as a pipeline folder, in half precision.

    Parameters
    ----------
    trained : GenerateTask or Path
        The task, or a checkpoint of it.
    folder : Path
        Where the pipeline is written; must not exist.
    space : TargetSpace
        The space of the embeddings it was trained on.
    unseen : mapping of str to sequence of str
        What `unseen_stimuli` gave.
    steps : int
        Steps of the sampler.
    guidance : float
        See `neurodecode.generators.openmoji_pipeline.OpenMojiPipeline`.
    shift : float
        Above 1, the sampler spends more of its steps near pure noise.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ConfigError
        If the folder exists, or the network takes embeddings of another width than the space has.
    """
    if folder.exists():
        raise ConfigError(f"folder: {folder} exists already, expected a new one")
    averaged = trained.averaged if isinstance(trained, GenerateTask) else load_averaged(trained)
    width = int(averaged.config.embedding_dim)
    if space.shape != (width,):
        raise ConfigError(f"space: got {space.label} {space.shape}, expected the network's ({width},)")
    network = copy.deepcopy(averaged).eval().half()
    pipeline = OpenMojiPipeline(network, FlowMatchEulerDiscreteScheduler(shift=shift))
    with atomic_folder(folder) as temporary:
        pipeline.save_pretrained(temporary, safe_serialization=True)
        for weights in temporary.rglob("*.safetensors"):
            weights.chmod(0o644)  # safetensors writes them for the owner alone
        write_json(temporary / SPACE_FILE, space.to_dict())
        write_json(temporary / SAMPLER_FILE, {"steps": steps, "guidance": guidance})
        write_json(temporary / UNSEEN_FILE, {name: list(values) for name, values in unseen.items()})
    return folder
