"""Rank candidates for every test item of a study, and score the ranks."""

from dataclasses import replace
from pathlib import Path

from neurodecode.core.errors import ConfigError, DataError

REASON_SHUFFLED = "needs a training on shuffled pairs: `neurodecode quickstart` does it"
REASON_NO_NETWORK = "no trained network was given (--checkpoint)"
REASON_ENCODER = "the given network goes from pictures to the brain (--checkpoint)"
REASON_NO_DATA = "a ceiling needs the ground truth of the simulation, which was not given (--data)"
REASON_NO_CURVE = "the repetition curve was switched off (--no-curve)"
REASON_NO_REPETITIONS = "the items of this study are not averages over repetitions of a stimulus"


def run(
    study: Path,
    targets: Path,
    *,
    checkpoint: Path | None = None,
    data: Path | None = None,
    output: Path = Path("outputs/retrieve"),
    seed: int = 0,
    subjects: list[str] | None = None,
    curve: bool = True,
) -> None:
    """Rank the test stimuli by the brain with every model there is, score the ranks and write the report.

    Parameters
    ----------
    study : Path
        Prepared study, as `neurodecode prepare` writes it.
    targets : Path
        Folder of targets, as `neurodecode embed` writes it: one subfolder a layer.
    checkpoint : Path, optional
        Network that `neurodecode fit` trained on this study, or the folder it lies in; only for studies with one fold.
        An encoder (task `encode`) takes the place of the linear encoding model, and its attention is written.
        Without it there are ridge, the encoding model and their fusion.
    data : Path, optional
        Simulated data set the study was prepared from, with its ground truth, for the ceilings.
    output : Path
        Folder of the result.
    seed : int
        Seed of inner folds, bootstrap and permutations.
    subjects : list of str, optional
        Whose signals; all by default.
    curve : bool
        Whether items with fewer repetitions are scored too.
    """
    from rich.console import Console

    from neurodecode.core.prepared import PreparedStudy
    from neurodecode.core.scores import Absent
    from neurodecode.evaluation.attention_figure import attention_figure
    from neurodecode.training.encode_task import EncodeTask
    from neurodecode.workflow.attention import attention_table, save_attention
    from neurodecode.workflow.bank import TargetBank
    from neurodecode.workflow.ceilings import CEILINGS, REASON_NO_TRUTH, has_truth
    from neurodecode.workflow.checkpoint import decode_with, find_checkpoint, open_network, require_fit
    from neurodecode.workflow.encoder import (
        describe_encoder,
        labelled,
        with_encoder,
    )
    from neurodecode.workflow.left_out import with_classifiers, with_distances
    from neurodecode.workflow.records import asked_of, build_results, curve_records, retrieval_records
    from neurodecode.workflow.retrieve import SHUFFLED, rank_study, with_ceilings, with_controls
    from neurodecode.workflow.spaces import Workspace
    from neurodecode.workflow.speech import limits_of, rank_segments, with_speech_ceilings
    from neurodecode.workflow.speech_ceilings import REASON_EXACT, has_speech_truth
    from neurodecode.workflow.speech_segments import SeriesBank
    from neurodecode.workflow.summary import results_table
    from neurodecode.workflow.words import LIMITS, REASON_NO_ENCODING, rank_words
    from neurodecode.workflow.write import write_all

    prepared = PreparedStudy(study)
    speech = prepared.info["kind"] == "speech"
    bank = SeriesBank.open(targets, prepared) if speech else TargetBank.open(targets)
    wanted = chosen_subjects(prepared.subjects, subjects)
    n_folds = prepared.split.n_folds
    if checkpoint is not None and n_folds > 1:
        raise ConfigError(
            f"--checkpoint: got one network, but {prepared.name} has {n_folds} folds, each of which needs its own; "
            "`neurodecode quickstart` trains them"
        )
    if data is not None and not prepared.simulated:
        raise ConfigError(f"--data: got {data}, but {prepared.name} is not simulated; expected none")
    if data is not None and n_folds > 1:
        raise ConfigError(f"--data: got {data}, but ceilings are for one fold and {prepared.name} has {n_folds}")
    of_words = asked_of(prepared.info) == "word"
    if data is not None and of_words:
        raise ConfigError(f"--data: got {data}, but there are no ceilings of single words; expected none")
    known = has_speech_truth if speech else has_truth
    untrue = [subject for subject in wanted if data is not None and not known(data, subject)]
    if untrue:
        raise DataError(f"--data: {data} holds no ground truth of {untrue[0]}, expected the simulated data set")
    absent = {SHUFFLED: REASON_SHUFFLED}
    decode, joint, layer = None, False, ""
    encoder: EncodeTask | None = None
    if checkpoint is None:
        absent["decoder"] = REASON_NO_NETWORK
    else:
        task = open_network(checkpoint)
        require_fit(task.interface, prepared, bank, wanted)
        if isinstance(task, EncodeTask):
            encoder, absent["decoder"] = task, REASON_ENCODER
            if of_words or not isinstance(bank, TargetBank):
                raise ConfigError(
                    f"--checkpoint: got an encoder, which ranks pictures, for {prepared.name}; expected a decoder"
                )
        else:
            decode, joint = decode_with(task, fold=0), len(task.interface["subjects"]) > 1
            layer = next(iter(task.interface["targets"]))
    console = Console()

    def tell(text: str) -> None:
        console.print(f"Ranking: {text}")

    keep = Workspace(output).models(prepared.name)
    if isinstance(bank, SeriesBank):
        retrieval = rank_segments(prepared, prepared, bank, decode, wanted, layer=layer)
    elif of_words:
        retrieval = rank_words(prepared, bank, decode, wanted, progress=tell)
        absent["encoding"] = REASON_NO_ENCODING
    else:
        retrieval = rank_study(prepared, bank, decode=decode, seed=seed, subjects=wanted, keep=keep, progress=tell)
        retrieval = with_distances(retrieval, prepared, bank, decode)
        retrieval = with_classifiers(retrieval, prepared, seed=seed)
        if encoder is not None:
            retrieval = with_encoder(retrieval, encoder, bank, seed=seed)
    tables = with_controls(retrieval.tables, None, seed=seed)
    if data is not None and speech:
        tables, absent["exact_learner"] = with_speech_ceilings(tables, data, prepared), REASON_EXACT
    elif data is not None:
        tables = with_ceilings(tables, retrieval.models, prepared, data, keep=keep)
    else:
        absent.update(dict.fromkeys(CEILINGS, REASON_NO_DATA if prepared.simulated else REASON_NO_TRUTH))
    scores, missing, answers = retrieval_records(prepared, tables, joint=joint, seed=seed, absent=absent)
    averages = prepared.info["averaging"] == "stimulus" and not speech
    if curve and isinstance(bank, TargetBank) and averages:
        scores += curve_records(prepared, retrieval, joint=joint, seed=seed)
    else:
        reason = REASON_NO_CURVE if averages else REASON_NO_REPETITIONS
        missing += [Absent(f"curve_{metric}", "all", "all", reason) for metric in ("top1", "top5")]
    config = {
        "command": "retrieve",
        "study": str(study),
        "targets": str(targets),
        "checkpoint": None if checkpoint is None else str(checkpoint),
        "data": None if data is None else str(data),
        "output": str(output),
        "seed": seed,
        "subjects": wanted,
        "curve": curve,
    }
    results = build_results(
        prepared, bank, retrieval, scores, missing, seed=seed,
        config={**config, "models": retrieval.reports},
    )  # fmt: skip
    if speech or of_words:
        results = replace(results, limits=limits_of(tables) if speech else LIMITS)
    figures = {}
    if encoder is not None and checkpoint is not None:
        results = replace(
            results,
            scores=labelled(results.scores, encoder),
            study={**results.study, "encoding": describe_encoder(encoder, find_checkpoint(checkpoint))},
        )
        names = [str(name) for name in tables.candidates["candidate"]]
        looked = attention_table(encoder, bank.rows(names)) if isinstance(bank, TargetBank) else None
        if looked is not None:
            save_attention(output, looked)
            figures["attention"] = attention_figure(looked, simulated=prepared.simulated)
    report = write_all(output, prepared, results, tables, answers, [], config, figures)
    console.print(results_table(results))
    console.print(f"Report: {report}")


def chosen_subjects(known: list[str], wanted: list[str] | None) -> list[str]:
    """Check which subjects were asked for.

    Parameters
    ----------
    known : list of str
        Those of the study.
    wanted : list of str, optional
        Those asked for; None for all.

    Returns
    -------
    list of str
        In the order asked for.

    Raises
    ------
    ConfigError
        For one that is unknown or named twice, or an empty list.

    Examples
    --------
    >>> chosen_subjects(["sub-01", "sub-02"], None)
    ['sub-01', 'sub-02']
    """
    if wanted is None:
        return list(known)
    unknown = [subject for subject in wanted if subject not in known]
    if unknown or not wanted or len(set(wanted)) != len(wanted):
        got = repr(unknown[0]) if unknown else ", ".join(wanted) or "none"
        raise ConfigError(f"--subjects: got {got}, expected some of {', '.join(known)}, each once")
    return list(wanted)
