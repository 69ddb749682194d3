"""The whole way on one study, step by step; every step keeps what it made, so a second run starts where it can."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.results import Results
from neurodecode.core.scores import Absent, Score, protocol_label
from neurodecode.core.targets import Targets
from neurodecode.datasets.catalogue import open_study
from neurodecode.encoders.stimulus.base import forbidden_as_target
from neurodecode.encoders.stimulus.catalogue import build_stimulus_encoder
from neurodecode.evaluation.pictures import Pictures
from neurodecode.evaluation.reconstruction import evaluate_reconstruction
from neurodecode.generators.openmoji_pipeline import BuiltInGenerator
from neurodecode.training.targets_extraction import extract_study_targets
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.ceilings import CEILINGS
from neurodecode.workflow.reconstruct import choose_stimuli, picture_features, reconstruct_subject
from neurodecode.workflow.records import build_results, curve_records, retrieval_records
from neurodecode.workflow.retrieve import (
    SHUFFLED,
    Decode,
    Retrieval,
    is_tested,
    rank_study,
    with_ceilings,
    with_controls,
)
from neurodecode.workflow.run_folder import RankingTables
from neurodecode.workflow.shuffle import shuffled_copy
from neurodecode.workflow.simulate import simulate_openmoji
from neurodecode.workflow.spaces import Workspace
from neurodecode.workflow.train import decoder_of, train_decoder
from neurodecode.workflow.write import write_all

Modality = Literal["eeg", "meg", "fmri"]
Step = Callable[[str], None]
BUILT_IN = "openmoji"
REASON_NO_TRUTH = "a ceiling needs the ground truth, which real recordings do not have"
#: Fewest runs of a subject whose runs are left out one by one: one tests, one validates, and the choices inside the
#: training side leave out two more before a model is fitted on what is left.
FEWEST_RUNS = 5
REASON_FEW_RUNS = f"fewer than {FEWEST_RUNS} runs: too few to choose models inside the training side"
REASON_NO_PICTURE = "no picture is known: the study's stimuli are categories"


@dataclass(frozen=True)
class Plan:
    """What the quickstart does; all of it is written into ``config.yaml``.

    Parameters
    ----------
    study : str
        ``openmoji`` or a study that `neurodecode studies` lists.
    modality : str
        Of the built-in study.
    output : Path
        The result's folder.
    root : str, optional
        Where other studies lie.
    seed : int
        Of everything.
    sfreq : float
        Sampling rate in Hz at which EEG and MEG are analysed.
    n_pictures : int
        How many test stimuli are reconstructed.
    picture_subjects : int
        Of how many subjects.
    shuffled_subjects : int
        For how many subjects everything is trained again on shuffled pairs; 0 for all.
    n_samples : int
        Pictures drawn for each stimulus and condition.
    jobs : int
        Processes that simulate and read.
    """

    study: str = BUILT_IN
    modality: Modality = "eeg"
    output: Path = Path("outputs/quickstart")
    root: str | None = None
    seed: int = 0
    sfreq: float = 50.0
    n_pictures: int = 32
    picture_subjects: int = 1
    shuffled_subjects: int = 1
    n_samples: int = 1
    jobs: int = 2

    @property
    def name(self) -> str:
        """Give the study's name in the catalogue."""
        return f"{BUILT_IN}_{self.modality}" if self.study == BUILT_IN else self.study

    @property
    def built_in(self) -> bool:
        """Tell whether the study is simulated first."""
        return self.name.startswith(f"{BUILT_IN}_")


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
        study = open_study(plan.name, root)
        sfreq = None if study.info.modality == "fmri" or not plan.built_in else plan.sfreq
        prepared = prepare_study(study, space.cache(plan.name), sfreq=sfreq, jobs=plan.jobs)
    with timed("embed", "Targets: embedding the stimuli with a frozen network"):
        targets = make_targets(prepared, space)
        bank = TargetBank(targets)
    subjects = ranked_subjects(prepared)
    with timed("train", "Training: one network for all subjects"):
        decode = train_all(prepared, space, targets, plan, subjects, shuffled=False)
    with timed("rank", "Retrieval: ridge, encoding model, network, their fusion"):
        keep = space.models(prepared.name)
        retrieval = rank_study(prepared, bank, decode=decode, seed=plan.seed, subjects=subjects, keep=keep)
    with timed("shuffled", "Control: everything again on shuffled pairs"):
        shuffled = rank_shuffled(prepared, space, bank, targets, plan)
    with timed("records", "Scores: intervals, nulls, ceilings, repetition curve"):
        tables = with_controls(retrieval.tables, shuffled, seed=plan.seed)
        if plan.built_in:
            tables = with_ceilings(_with_tables(retrieval, tables), prepared, root / plan.name)
        absent = {} if plan.built_in else dict.fromkeys(CEILINGS, REASON_NO_TRUTH)
        joint = len(subjects) > 1
        scores, missing, answers = retrieval_records(prepared, tables, joint=joint, seed=plan.seed, absent=absent)
        missing += [Absent("all", "all", name, REASON_FEW_RUNS) for name in prepared.subjects if name not in subjects]
        if prepared.info["averaging"] == "stimulus":
            scores += curve_records(prepared, bank, retrieval, joint=joint, seed=plan.seed)
    with timed("pictures", "Pictures: drawing what was seen, and its controls"):
        pictures, more, gone = draw_pictures(prepared, bank, retrieval, shuffled, plan)
    with timed("report", "Report: figures and one page"):
        results = build_results(
            prepared,
            bank,
            retrieval,
            [*scores, *more],
            [*missing, *gone],
            seed=plan.seed,
            config={**_plain(plan), "models": retrieval.reports},
            trimmed=trimmed(plan, prepared),
        )
        report = write_all(plan.output, prepared, results, tables, answers, pictures, _plain(plan))
    return Outcome(results, tables, report, seconds)


def _plain(plan: Plan) -> dict[str, Any]:
    return {**asdict(plan), "output": str(plan.output)}


def _with_tables(retrieval: Retrieval, tables: RankingTables) -> Retrieval:
    return Retrieval(tables, retrieval.chosen, retrieval.reports, retrieval.models)


def ranked_subjects(prepared: PreparedStudy) -> list[str]:
    """List the subjects with enough runs to choose models by inner folds; all of them where stimuli are left out."""
    if prepared.info["averaging"] == "stimulus":
        return prepared.subjects
    units = prepared.split.table.groupby("subject")["unit"].nunique()
    found = [subject for subject in prepared.subjects if units[subject] >= FEWEST_RUNS]
    if not found:
        raise DataError(f"{prepared.name}: no subject has {FEWEST_RUNS} runs, which inner folds need")
    return found


def make_data(plan: Plan, space: Workspace) -> Path:
    """Simulate the built-in study, or find the folder that holds another; give the data root."""
    if not plan.built_in:
        return open_study(plan.name, plan.root).root if plan.root is None else Path(plan.root)
    simulate_openmoji(space.data / plan.name, modality=plan.modality, seed=plan.seed, jobs=plan.jobs)
    return space.data


def make_targets(prepared: PreparedStudy, space: Workspace) -> dict[str, Targets]:
    """Embed pictures with EfficientNet-Lite0's bank of seven layers, or words with MiniLM."""
    name = "efficientnet_lite0" if prepared.info["kind"] == "image" else "minilm"
    forbidden_as_target(name, prepared.name)
    encoder = build_stimulus_encoder(name)
    return extract_study_targets(prepared.stimuli, encoder, space.targets(prepared.name))


def train_all(
    prepared: PreparedStudy,
    space: Workspace,
    targets: dict[str, Targets],
    plan: Plan,
    subjects: Sequence[str],
    *,
    shuffled: bool,
) -> Decode:
    """Train the network of every fold (of the first one only for the control of a study with several folds)."""
    checkpoints, split = {}, prepared.split
    with as_file(files("neurodecode.configs")) as folder:
        configs = [folder / "quickstart" / f"{prepared.info['modality']}.yaml"]
        own = folder / "quickstart" / f"{prepared.name}.yaml"
        if own.is_file():
            configs.append(own)
        places = {name: space.targets(prepared.name) / name for name in targets}
        for fold in range(split.n_folds):
            here = [subject for subject in subjects if is_tested(split, subject, fold)]
            if not here:
                continue
            source = (
                shuffled_copy(prepared, space.shuffled(prepared.name, fold), seed=plan.seed, fold=fold)
                if shuffled
                else prepared
            )
            path = train_decoder(
                source,
                places,
                space.model(prepared.name, fold, shuffled=shuffled),
                configs=configs,
                fold=fold,
                seed=plan.seed,
                subjects=here,
            )
            checkpoints.update({(fold, subject): path for subject in here})
    return decoder_of(checkpoints)


def rank_shuffled(
    prepared: PreparedStudy, space: Workspace, bank: TargetBank, targets: dict[str, Targets], plan: Plan
) -> Retrieval:
    """Train and rank again with permuted training and validation labels; the test items keep theirs."""
    everyone = ranked_subjects(prepared)
    subjects = everyone[: plan.shuffled_subjects or len(everyone)]
    decode = train_all(prepared, space, targets, plan, subjects, shuffled=True)
    split = prepared.split
    parts = [
        rank_study(
            shuffled_copy(prepared, space.shuffled(prepared.name, fold), seed=plan.seed, fold=fold),
            bank,
            decode=decode,
            seed=plan.seed,
            subjects=list(subjects),
            folds=[fold],
            keep=space.models(prepared.name, shuffled=True),
        )
        for fold in range(split.n_folds)
        if any(is_tested(split, subject, fold) for subject in subjects)
    ]
    return parts[0] if len(parts) == 1 else join_folds(parts)


def join_folds(parts: Sequence[Retrieval]) -> Retrieval:
    """Pool folds that were ranked one by one, in the order of the pooled study: by subject, then by fold."""
    import pandas as pd

    first = parts[0].tables
    queries = pd.concat([part.tables.queries for part in parts], ignore_index=True)
    order = {subject: place for place, subject in enumerate(first.subjects)}
    queries = queries.sort_values(
        ["subject", "fold"], key=lambda c: c.map(order) if c.name == "subject" else c, kind="stable"
    )
    scores: dict[tuple[str, str], NDArray[np.float32]] = {
        key: np.concatenate([part.tables.scores[key] for part in parts if key in part.tables.scores])
        for key in first.scores
    }
    chosen = {name: model for part in parts for name, model in part.chosen.items()}
    reports = {name: report for part in parts for name, report in part.reports.items()}
    models = {key: fitted for part in parts for key, fitted in part.models.items()}
    return Retrieval(RankingTables(queries.reset_index(drop=True), first.candidates, scores), chosen, reports, models)


def draw_pictures(
    prepared: PreparedStudy, bank: TargetBank, retrieval: Retrieval, shuffled: Retrieval, plan: Plan
) -> tuple[list[Pictures], list[Score], list[Absent]]:
    """Reconstruct a seeded subset of the test stimuli and score it; absent where no picture is known."""
    if prepared.info["kind"] != "image":
        return [], [], [Absent("all", "reconstruction", "all", REASON_NO_PICTURE)]
    generator = BuiltInGenerator.load()
    shown = [str(name) for name in retrieval.tables.candidates["candidate"]]
    stimuli = choose_stimuli(shown, plan.n_pictures, plan.seed)
    pictures = []
    for subject in prepared.subjects[: plan.picture_subjects]:
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
            )
        )
    joint = len(prepared.subjects) > 1
    averaged = f"signals x {int(retrieval.tables.queries['repetitions'].min())}"
    found = evaluate_reconstruction(
        pictures,
        picture_features(),
        protocol=protocol_label(
            "joint" if joint else "within-subject",
            unit=prepared.split.unit,
            averaged=averaged,
            gallery=f"{len(stimuli)} test stimuli",
            weights="best by validation",
        ),
        simulated=prepared.simulated,
        seed=plan.seed,
        averaged=averaged,
    )
    return pictures, found.scores, found.absent


def trimmed(plan: Plan, prepared: PreparedStudy) -> list[str]:
    """Say what the quickstart leaves out of what the full commands do."""
    said = []
    if plan.built_in and prepared.info["modality"] != "fmri":
        said.append(f"Signals were simulated at 250 Hz and analysed at {plan.sfreq:g} Hz.")
    count = plan.shuffled_subjects
    if 0 < count < len(prepared.subjects):
        said.append(
            f"The shuffled control ({SHUFFLED}) was trained again for {count} of {len(prepared.subjects)} subjects; "
            "its mean is over those."
        )
    if prepared.info["kind"] == "image":
        said.append(
            f"{plan.n_pictures} test stimuli, drawn with seed {plan.seed}, were reconstructed for "
            f"{plan.picture_subjects} of {len(prepared.subjects)} subjects, {plan.n_samples} sample(s) each."
        )
    said.append("One seed. `neurodecode benchmark` is the place for several.")
    return said


def check_plan(plan: Plan) -> None:
    """Refuse a plan that cannot work, naming the argument."""
    if plan.modality not in ("eeg", "meg", "fmri"):
        raise ConfigError(f"modality: got {plan.modality!r}, expected eeg, meg or fmri")
    if plan.n_pictures < 2:
        raise ConfigError(f"n_pictures: got {plan.n_pictures}, expected at least 2")
    for name in ("n_samples", "jobs", "picture_subjects"):
        if getattr(plan, name) < 1:
            raise ConfigError(f"{name}: got {getattr(plan, name)}, expected at least 1")
    if plan.shuffled_subjects < 0:
        raise ConfigError(f"shuffled_subjects: got {plan.shuffled_subjects}, expected at least 0")
