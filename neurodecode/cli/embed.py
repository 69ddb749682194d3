"""Compute the targets of a study's stimuli."""

from pathlib import Path


def run(
    study: str,
    *,
    encoder: str = "efficientnet_lite0",
    layers: list[str] | None = None,
    pooling: str | None = None,
    model: str | None = None,
    pretrained: str | None = None,
    folder: Path | None = None,
    normalise: bool | None = None,
    size: int | None = None,
    root: str | None = None,
    output: Path | None = None,
    batch_size: int | None = None,
    device: str | None = None,
) -> None:
    """Run a frozen encoder over all stimuli of a study; what is done already is kept.

    Parameters
    ----------
    study : str
        Name of the study, as `neurodecode studies` lists it.
    encoder : str
        One of alexnet, dinov2, efficientnet_lite0, gabor, minilm, open_clip, open_clip_text, pixels, vgg16.
    layers : list of str, optional
        Layers of the encoder; its own choice by default.
    pooling : str, optional
        How places become one vector: mean, max, flatten, cls, tokens, or cells of a grid such as grid2x2.
    model : str, optional
        For open_clip and dinov2: the model's name, such as ViT-H-14 or hf-hub:organisation/name.
    pretrained : str, optional
        For open_clip: the tag of the weights, such as laion2b_s32b_b79k.
    folder : Path, optional
        For open_clip and dinov2: a local folder that holds weights, configuration and preprocessing.
    normalise : bool, optional
        For open_clip: scale the embedding to unit length.
    size : int, optional
        Side in pixels at which the encoder sees a picture, where it can be chosen.
    root : str, optional
        Folder that holds the study; by default the one that the environment variable NEURODECODE_DATA names.
    output : Path, optional
        Folder of the targets; by default outputs/targets/, the study's name and the encoder's name.
    batch_size : int, optional
        Stimuli in one forward pass.
    device : str, optional
        Where the encoder runs: cpu or cuda; cuda where there is one.
    """
    from rich.console import Console
    from rich.table import Table

    from neurodecode.datasets.catalogue import open_study
    from neurodecode.encoders.stimulus.base import forbidden_as_target
    from neurodecode.encoders.stimulus.catalogue import build_stimulus_encoder, encoder_options
    from neurodecode.training.targets_extraction import extract_study_targets

    forbidden_as_target(encoder, study)
    stimuli = open_study(study, root).stimuli()
    given = {
        "layers": layers,
        "pooling": pooling,
        "model": model,
        "pretrained": pretrained,
        "folder": folder,
        "normalise": normalise,
        "size": size,
        "batch_size": batch_size,
        "device": device,
    }
    options = {name: value for name, value in given.items() if value is not None}
    if device is None and "device" in encoder_options(encoder):
        options["device"] = _best_device()
    target_folder = Path("outputs/targets") / study / encoder if output is None else output
    built = build_stimulus_encoder(encoder, **options)
    # The name that was typed may hide what is inside: a folder's own name does not.
    forbidden_as_target(built.name, study)
    targets = extract_study_targets(stimuli, built, target_folder)
    table = Table(title=f"Targets of {study} from {built.name}")
    for heading in ("layer", "pooling", "kind", "shape", "unit length", "stimuli"):
        table.add_column(heading)
    for layer, target in targets.items():
        space = target.space
        shape = " x ".join(str(length) for length in space.shape)
        unit = "yes" if space.normalised else "no"
        table.add_row(layer, space.pooling, space.kind, shape, unit, str(len(target.stimuli)))
    console = Console()
    console.print(table)
    console.print(f"Targets: {target_folder}")


def _best_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
