"""Compute the targets of a study's stimuli."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurodecode.core.feature_table import FeatureTable
    from neurodecode.core.study import Study
    from neurodecode.core.targets import Targets

DEFAULT_ENCODER = "efficientnet_lite0"
#: Where a prepared study is given, which only speech needs.
DEFAULT_SPEECH_ENCODER = "mel"


def run(
    study: str,
    *,
    encoder: str | None = None,
    features: Path | None = None,
    layers: list[str] | None = None,
    pooling: str | None = None,
    model: str | None = None,
    pretrained: str | None = None,
    folder: Path | None = None,
    normalise: bool | None = None,
    size: int | None = None,
    root: str | None = None,
    options: dict[str, Any] | None = None,
    output: Path | None = None,
    rate: float | None = None,
    prepared: Path | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    degrade: list[str] | None = None,
) -> None:
    """Run a frozen encoder over all stimuli of a study, or take ready vectors; what is done already is kept.

    Parameters
    ----------
    study : str
        Name of the study, as `neurodecode studies` lists it.
    encoder : str, optional
        For pictures: alexnet, dinov2, efficientnet_lite0, gabor, open_clip, pixels, vgg16; for texts: minilm,
        open_clip_text; for speech: mel, wav2vec2, whisper_tiny. By default the vectors that come with the study where
        there are such, else efficientnet_lite0, or mel with --prepared.
    features : Path, optional
        Ready vectors instead of an encoder: a .npz, .mat or .h5 file with an array `stimulus` of names and one array
        of rows a layer, a .csv file with a column `stimulus`, or a .npy file whose rows are numbered from 0, as the
        stimuli are.
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
    options : dict, optional
        The study's own options, the same as for `neurodecode prepare`.
    output : Path, optional
        Folder of the targets; by default outputs/targets/, the study's name and the encoder's name (or `given`).
    rate : float, optional
        For speech: frames per second, such as 50 or 120.
    prepared : Path, optional
        For speech: the folder that `neurodecode prepare` made. Its split says where the audio is cut, so that no
        embedding hears another side.
    batch_size : int, optional
        Stimuli in one forward pass.
    device : str, optional
        Where the encoder runs: cpu or cuda; cuda where there is one.
    degrade : list of str, optional
        Show the encoder degraded pictures: some of foveal_blur, gaussian_blur, noise, low_resolution and mosaic,
        features averaged over them. For training alone; give an --output of their own.
    """
    from rich.console import Console
    from rich.table import Table

    from neurodecode.core.errors import ConfigError
    from neurodecode.datasets.catalogue import open_study

    given = {
        "layers": layers,
        "pooling": pooling,
        "model": model,
        "pretrained": pretrained,
        "folder": folder,
        "normalise": normalise,
        "size": size,
        "rate": rate,
        "batch_size": batch_size,
        "device": device,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    if features is not None and encoder is not None:
        raise ConfigError(f"--features: got {features} beside --encoder {encoder}, expected one of the two")
    if encoder is not None:
        _refuse_circular(encoder, study)
    if degrade is not None and (encoder is None or output is None):
        raise ConfigError("--degrade: got it without an --encoder and an --output, expected both: a folder of its own")
    default = DEFAULT_ENCODER if prepared is None else DEFAULT_SPEECH_ENCODER
    opened = open_study(study, root, options)
    tables = _ready_vectors(study, opened, features) if encoder is None else {}
    if tables and chosen:
        raise ConfigError(f"--{next(iter(chosen))}: got a value, but the vectors are ready made; name an --encoder")
    if tables:
        name, targets = _take(opened, tables, study, output)
    else:
        name, targets = _embed(opened, encoder or default, chosen, study, output, prepared, degrade)
    target_folder = _place(study, name if tables else encoder or default, output)
    table = Table(title=f"Targets of {study} from {name}")
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


def _place(study: str, encoder: str, output: Path | None) -> Path:
    return Path("outputs/targets") / study / encoder if output is None else output


def _refuse_circular(encoder: str, study: str) -> None:
    from neurodecode.encoders.stimulus.base import forbidden_as_target

    forbidden_as_target(encoder, study)


def _ready_vectors(study: str, opened: "Study", features: Path | None) -> "dict[str, FeatureTable]":
    """Read the vectors of a file, or those that come with the study."""
    from neurodecode.core.errors import MismatchError
    from neurodecode.datasets.arrays.features import read_feature_file
    from neurodecode.encoders.stimulus.base import SIMULATOR_NETWORKS

    if features is None:
        return opened.feature_tables()
    if study.startswith(tuple(SIMULATOR_NETWORKS)):
        raise MismatchError(
            f"--features: got {features} for {study}, whose brain is simulated from a network; nobody can tell whether "
            "these vectors come from the same one, expected an --encoder"
        )
    return read_feature_file(features)


def _take(
    opened: "Study", tables: "dict[str, FeatureTable]", study: str, output: Path | None
) -> "tuple[str, dict[str, Targets]]":
    """Store ready vectors as targets."""
    from neurodecode.encoders.stimulus.feature_tables import FeatureTableEncoder
    from neurodecode.training.targets_extraction import extract_targets

    names = opened.stimuli().names
    built = FeatureTableEncoder(tables)
    built.encode(names)  # a stimulus without a vector is found before anything is written
    return built.name, extract_targets(names, str, built, _place(study, built.name, output))


def _embed(
    opened: "Study",
    encoder: str,
    options: dict[str, Any],
    study: str,
    output: Path | None,
    prepared: Path | None,
    degrade: list[str] | None,
) -> "tuple[str, dict[str, Targets]]":
    """Run an encoder over the stimuli, or over the audio of a prepared study."""
    from neurodecode.core.errors import ConfigError
    from neurodecode.core.prepared import PreparedStudy
    from neurodecode.encoders.stimulus.base import StimulusEncoder
    from neurodecode.encoders.stimulus.catalogue import build_stimulus_encoder, encoder_options
    from neurodecode.encoders.stimulus.degraded import DegradedEncoder
    from neurodecode.training.speech_targets import extract_speech_targets
    from neurodecode.training.targets_extraction import extract_study_targets

    _refuse_circular(encoder, study)
    if "device" not in options and "device" in encoder_options(encoder):
        options["device"] = _best_device()
    built: StimulusEncoder = build_stimulus_encoder(encoder, **options)
    # The name that was typed may hide what is inside: a folder's own name does not.
    _refuse_circular(built.name, study)
    if degrade is not None:
        built = DegradedEncoder(built, degrade)
    if built.kind == "speech":
        if prepared is None:
            raise ConfigError(
                "--prepared: got none, expected the folder of the prepared study; its split cuts the audio"
            )
        found = extract_speech_targets(PreparedStudy(prepared).stimuli, built, _place(study, encoder, output))
        return built.name, found
    return built.name, extract_study_targets(opened.stimuli(), built, _place(study, encoder, output))


def _best_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
