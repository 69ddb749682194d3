"""The whole way on one study, step by step; every step keeps what it made, so a second run starts where it can."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from threadpoolctl import threadpool_limits

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.results import Results
from neurodecode.core.scores import Absent, Score, protocol_label
from neurodecode.core.targets import Targets
from neurodecode.datasets.catalogue import open_study
from neurodecode.encoders.stimulus.base import forbidden_as_target
from neurodecode.encoders.stimulus.catalogue import build_stimulus_encoder
from neurodecode.evaluation.pictures import CONDITIONS, Pictures
from neurodecode.evaluation.reconstruction import evaluate_reconstruction
from neurodecode.generators.openmoji_pipeline import BuiltInGenerator
from neurodecode.training.targets_extraction import extract_study_targets
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.ceilings import CEILINGS, REASON_NO_TRUTH
from neurodecode.workflow.control import rank_shuffled
from neurodecode.workflow.items import is_across_subjects
from neurodecode.workflow.kept_pictures import kept_comparison, pictures_folder
from neurodecode.workflow.left_out import with_classifiers, with_distances
from neurodecode.workflow.networks import train_all
from neurodecode.workflow.plan import REGIONS, Plan, trimmed
from neurodecode.workflow.reconstruct import choose_stimuli, picture_features, reconstruct_subject
from neurodecode.workflow.records import averaging_text, build_results, curve_records, retrieval_records
from neurodecode.workflow.retrieve import SHUFFLED, Retrieval, rank_study, with_ceilings, with_controls
from neurodecode.workflow.run_folder import RankingTables
from neurodecode.workflow.simulate import simulate_openmoji
from neurodecode.workflow.spaces import Workspace
from neurodecode.workflow.write import write_all

Step = Callable[[str], None]
#: Fewest runs of a subject whose runs are left out one by one: one tests, one validates, and the choices inside the
#: training side leave out two more before a model is fitted on what is left.
FEWEST_RUNS = 5
REASON_FEW_RUNS = f"fewer than {FEWEST_RUNS} runs: too few to choose models inside the training side"
REASON_NO_PICTURE = "no picture is known: the study's stimuli are categories"


@dataclass
class Outcome:
    """What a quickstart made."""

    results: Results
    tables: RankingTables
    report: Path
    seconds: dict[str, float] = field(default_factory=dict)


def run_quickstart(plan: Plan, *, step: Step = print) -> Outcome:
    """Go the whole way: data, cache, targets, training, retrieval, pictures, report.

    Parameters
    ----------
    plan : Plan
        What to do.
    step : callable
        Told each step that begins.

    Returns
    -------
    Outcome
        The records, tables and the place of the report. The result's files are written at the end, each whole or not
        at all.
    """
    space = Workspace(plan.output)
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(name: str, text: str) -> Iterator[None]:
        step(text)
        begin = time.monotonic()
        yield
        seconds[name] = round(time.monotonic() - begin, 1)

    with timed("data", "Data: simulating a study" if plan.built_in else "Data: looking for the study"):
        root = make_data(plan, space)
    with timed("prepare", "Cache: reading, checking and resampling"):
        study = open_study(plan.name, root, plan.options)
        prepared = prepare_study(
            study, space.cache(plan.name), sfreq=plan.rate, regions=REGIONS.get(plan.name, ()), jobs=plan.jobs
        )
    with timed("embed", "Targets: embedding the stimuli with a frozen network"):
        targets = make_targets(prepared, space)
        bank = TargetBank(targets)
    subjects = ranked_subjects(prepared)
    keep, seed = space.models(prepared.name), plan.seed
    with timed("train", "Training: one network for all subjects"):
        decode = train_all(prepared, space, targets, seed, subjects, shuffled=False)
    # Threads that wait for each other make the linear models slow on a busy machine; see `fit_linear_suite`.
    with threadpool_limits(limits=1, user_api="blas"):
        with timed("rank", "Retrieval: ridge, encoding model, network, their fusion"):
            retrieval = rank_study(
                prepared, bank, decode=decode, seed=seed, subjects=subjects, keep=keep, jobs=plan.jobs
            )
            retrieval = with_classifiers(with_distances(retrieval, prepared, bank, decode), prepared, seed=seed)
        with timed("shuffled", "Control: everything again on shuffled pairs"):
            some = subjects[: plan.shuffled_subjects or len(subjects)]
            blind = train_all(prepared, space, targets, seed, some, shuffled=True)
            shuffled = rank_shuffled(prepared, space, bank, decode=blind, seed=seed, subjects=some, jobs=plan.jobs)
        with timed("records", "Scores: intervals, nulls, ceilings, repetition curve"):
            tables = with_controls(retrieval.tables, shuffled, seed=seed)
            if plan.built_in:
                tables = with_ceilings(tables, retrieval.models, prepared, root / plan.name, keep=keep)
            absent = {} if plan.built_in else dict.fromkeys(CEILINGS, REASON_NO_TRUTH)
            joint = len(subjects) > 1
            scores, missing, answers = retrieval_records(prepared, tables, joint=joint, seed=seed, absent=absent)
            out = [name for name in prepared.subjects if name not in subjects]
            missing += [Absent("all", "all", name, REASON_FEW_RUNS) for name in out]
            if prepared.info["averaging"] == "stimulus":
                scores += curve_records(prepared, retrieval, joint=joint, seed=seed)
    with timed("pictures", "Pictures: drawing what was seen, and its controls"):
        pictures, more, gone = draw_pictures(prepared, bank, retrieval, shuffled, plan, keep)
    with timed("report", "Report: figures and one page"):
        results = build_results(
            prepared,
            bank,
            retrieval,
            [*scores, *more],
            [*missing, *gone],
            seed=seed,
            config={**plan.plain(), "models": retrieval.reports},
            trimmed=trimmed(plan, prepared),
        )
        report = write_all(plan.output, prepared, results, tables, answers, pictures, plan.plain())
    return Outcome(results, tables, report, seconds)


def ranked_subjects(prepared: PreparedStudy) -> list[str]:
    """List the subjects with enough runs to choose models by inner folds; all if stimuli or subjects are left out."""
    if prepared.info["averaging"] == "stimulus" or is_across_subjects(prepared.split, prepared.subjects):
        return prepared.subjects
    units = prepared.split.table.groupby("subject")["unit"].nunique()
    found = [subject for subject in prepared.subjects if units[subject] >= FEWEST_RUNS]
    if not found:
        raise DataError(f"{prepared.name}: no subject has {FEWEST_RUNS} runs, which inner folds need")
    return found


def make_data(plan: Plan, space: Workspace) -> Path:
    """Simulate the built-in study, or find the folder that holds another; give the data root."""
    if not plan.built_in:
        return open_study(plan.name, plan.root, plan.options).root if plan.root is None else Path(plan.root)
    modality = plan.modality
    if modality == "speech":
        raise ConfigError("modality: speech has a way of its own, neurodecode.workflow.speech")
    simulate_openmoji(space.data / plan.name, modality=modality, seed=plan.seed, jobs=plan.jobs)
    return space.data


def make_targets(prepared: PreparedStudy, space: Workspace) -> dict[str, Targets]:
    """Embed pictures with EfficientNet-Lite0's bank of seven layers, or words with MiniLM."""
    name = "efficientnet_lite0" if prepared.info["kind"] == "image" else "minilm"
    forbidden_as_target(name, prepared.name)
    encoder = build_stimulus_encoder(name)
    return extract_study_targets(prepared.stimuli, encoder, space.targets(prepared.name))


def draw_pictures(
    prepared: PreparedStudy, bank: TargetBank, retrieval: Retrieval, shuffled: Retrieval, plan: Plan, keep: Path
) -> tuple[list[Pictures], list[Score], list[Absent]]:
    """Reconstruct a seeded subset of the test stimuli and score it; absent where no picture is known."""
    if prepared.info["kind"] != "image":
        return [], [], [Absent("all", "reconstruction", "all", REASON_NO_PICTURE)]
    generator = BuiltInGenerator.load()
    shown = [str(name) for name in retrieval.tables.candidates["candidate"]]
    stimuli = choose_stimuli(shown, plan.n_pictures, plan.seed)
    pictures = []
    subjects = retrieval.tables.subjects
    for subject in subjects[: plan.picture_subjects]:
        pictures.append(
            reconstruct_subject(
                prepared,
                bank,
                retrieval.models[subject, 0],
                generator,
                stimuli=stimuli,
                seed=plan.seed,
                n_samples=plan.n_samples,
                shuffled=shuffled.models.get((subject, 0)),
                keep=pictures_folder(keep, subject, 0),
            )
        )
    averaged = averaging_text(retrieval.tables)

    def label(trained_on: int) -> str:
        return protocol_label(
            "joint" if trained_on > 1 else "within-subject",
            unit=prepared.split.unit,
            averaged=averaged,
            gallery=f"{len(stimuli)} test stimuli",
            weights="best by validation",
        )

    features = picture_features()
    found = evaluate_reconstruction(
        pictures,
        features,
        protocol={**dict.fromkeys(CONDITIONS, label(len(subjects))), SHUFFLED: label(len(shuffled.tables.subjects))},
        simulated=prepared.simulated,
        seed=plan.seed,
        averaged=averaged,
        compare=kept_comparison(features, keep, 0),
    )
    return pictures, found.scores, found.absent
