"""Reconstructions of a study with a trained network alone: drawn, checked for leaks, scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.scores import Absent, Score, protocol_label
from neurodecode.evaluation.picture_metrics import FeatureFunction
from neurodecode.evaluation.pictures import Pictures
from neurodecode.evaluation.reconstruction import evaluate_reconstruction
from neurodecode.generators.openmoji_pipeline import BuiltInGenerator
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.checkpoint import decode_with, open_checkpoint, require_fit
from neurodecode.workflow.items import candidate_names, fold_items
from neurodecode.workflow.reconstruct import (
    NetworkModels,
    Progress,
    choose_stimuli,
    generator_layer,
    picture_features,
    reconstruct_subject,
)


@dataclass(frozen=True)
class Drawn:
    """Pictures and what they scored.

    Parameters
    ----------
    pictures : list of Pictures
        One entry a subject.
    scores, absent : list
        Records, and those that cannot exist.
    """

    pictures: list[Pictures]
    scores: list[Score]
    absent: list[Absent]


def draw_with_network(
    prepared: PreparedStudy,
    bank: TargetBank,
    checkpoint: Path,
    *,
    subjects: Sequence[str] | None,
    generator: BuiltInGenerator | Path | None,
    n_pictures: int,
    n_samples: int,
    seed: int,
    absent: Mapping[str, str],
    features: Mapping[str, FeatureFunction] | None = None,
    progress: Progress = lambda text: None,
) -> Drawn:
    """Draw test stimuli of the fold a network was trained on, under every condition that needs no second training.

    Parameters
    ----------
    prepared : PreparedStudy
        The study.
    bank : TargetBank
        Its targets.
    checkpoint : Path
        The network, or the folder it lies in.
    subjects : sequence of str, optional
        All that the network was trained for by default.
    generator : BuiltInGenerator or Path, optional
        The generator, or its folder; the shipped one by default.
    n_pictures : int
        How many stimuli, drawn with the seed.
    n_samples : int
        Pictures for each stimulus and condition.
    seed : int
        Of everything drawn.
    absent : mapping of str to str
        Conditions that are not made, with the reason.
    features : mapping of str to callable, optional
        For two-way identification; `picture_features` by default.
    progress : callable
        Told the subject and condition that begins.

    Returns
    -------
    Drawn

    Raises
    ------
    LeakageError
        If the generator may have seen a stimulus, or the network was trained with another split.
    MismatchError
        If study, targets, network and generator do not fit.
    """
    task = open_checkpoint(checkpoint)
    known = list(task.interface["subjects"])
    wanted = known if subjects is None else list(subjects)
    require_fit(task.interface, prepared, bank, wanted)
    fold = int(task.interface["fold"])
    drawer = generator if isinstance(generator, BuiltInGenerator) else BuiltInGenerator.load(generator)
    stimuli = choose_stimuli(candidate_names(prepared, wanted, [fold]), n_pictures, seed)
    # Before anything is drawn, which takes long.
    drawer.require_unseen(stimuli)
    generator_layer(bank, drawer)
    decode = decode_with(task, fold=fold, ranking=False)
    pictures, counts = [], []
    for subject in wanted:
        items = fold_items(prepared, subject, fold=fold)
        counts.append(int(items.test.repetitions.min()))

        def tell(text: str, subject: str = subject) -> None:
            progress(f"{subject}, {text}")

        models = NetworkModels(decode, subject, fold, items)
        pictures.append(
            reconstruct_subject(
                prepared,
                bank,
                models,
                drawer,
                stimuli=stimuli,
                seed=seed,
                n_samples=n_samples,
                progress=tell,
            )
        )
    averaged = f"signals x {min(counts)}"
    found = evaluate_reconstruction(
        pictures,
        picture_features() if features is None else features,
        protocol=protocol_label(
            "joint" if len(known) > 1 else "within-subject",
            unit=prepared.split.unit,
            averaged=averaged,
            gallery=f"{len(stimuli)} test stimuli",
            weights="best by validation",
        ),
        simulated=prepared.simulated,
        seed=seed,
        averaged=averaged,
        absent=absent,
    )
    return Drawn(pictures, found.scores, found.absent)
