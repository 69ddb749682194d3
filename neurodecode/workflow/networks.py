"""The networks of a quickstart: one for each fold, and one for each fold's shuffled control."""

from collections.abc import Sequence
from importlib.resources import as_file, files

from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.targets import Targets
from neurodecode.workflow.decoding import Decode
from neurodecode.workflow.items import is_across_subjects, is_tested
from neurodecode.workflow.pooled import EVERYBODY, as_everybody, pooled_copy, require_no_subject_parts
from neurodecode.workflow.shuffle import shuffled_copy
from neurodecode.workflow.spaces import Workspace
from neurodecode.workflow.train import decoder_of, train_decoder


def train_all(
    prepared: PreparedStudy,
    space: Workspace,
    targets: dict[str, Targets],
    seed: int,
    subjects: Sequence[str],
    *,
    shuffled: bool,
) -> Decode:
    """Train the network of every fold, once.

    Parameters
    ----------
    prepared : PreparedStudy
        The study.
    space : Workspace
        Where networks and shuffled copies go.
    targets : mapping of str to Targets
        What is predicted, by layer.
    seed : int
        Of weights, order and shuffled pairs.
    subjects : sequence of str
        Trained together.
    shuffled : bool
        Whether the labels of training and validation are permuted first.

    Returns
    -------
    Decode
        Configured by ``configs/quickstart/decoder.yaml`` and what ``<modality>.yaml`` and ``<study>.yaml`` beside it
        change. Where people are left out, by ``left_out.yaml``: a network without parts of a person, trained on all
        others as if they were one, so that it can decode anybody.
    """
    checkpoints, split = {}, prepared.split
    across = is_across_subjects(split, prepared.subjects)
    with as_file(files("neurodecode.configs")) as folder:
        names = ("left_out",) if across else ("decoder", prepared.info["modality"], prepared.name)
        paths = [folder / "quickstart" / f"{name}.yaml" for name in names]
        configs = [path for number, path in enumerate(paths) if number == 0 or path.is_file()]
        places = {name: space.targets(prepared.name) / name for name in targets}
        if across:
            require_no_subject_parts(configs, prepared, {name: found.space.shape for name, found in targets.items()})
        for fold in range(split.n_folds):
            here = [subject for subject in subjects if is_tested(split, subject, fold)]
            if not here:
                continue
            source = (
                shuffled_copy(prepared, space.shuffled(prepared.name, fold), seed=seed, fold=fold)
                if shuffled
                else prepared
            )
            if across:
                source = pooled_copy(source, space.pooled(prepared.name, fold if shuffled else None))
                here = [EVERYBODY]
            path = train_decoder(
                source,
                places,
                space.model(prepared.name, fold, shuffled=shuffled),
                configs=configs,
                fold=fold,
                seed=seed,
                subjects=here,
            )
            checkpoints.update({(fold, subject): path for subject in here})
    return as_everybody(decoder_of(checkpoints)) if across else decoder_of(checkpoints)
