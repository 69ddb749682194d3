"""The whole way on continuous speech: data, cache, series, training, which segment was heard, report."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.scores import Absent
from neurodecode.datasets.catalogue import open_study, study_classes
from neurodecode.encoders.stimulus.base import forbidden_as_target
from neurodecode.encoders.stimulus.mel import MelEncoder
from neurodecode.training.speech_targets import extract_speech_targets
from neurodecode.workflow.decoding import Decode
from neurodecode.workflow.plan import SPEECH, Plan
from neurodecode.workflow.quickstart import Outcome
from neurodecode.workflow.records import build_results, retrieval_records
from neurodecode.workflow.retrieve import CHOSEN, Retrieval, add_scores, with_controls
from neurodecode.workflow.run_folder import RankingTables
from neurodecode.workflow.shuffle import shuffled_copy
from neurodecode.workflow.simulate_speech import simulate_spoken
from neurodecode.workflow.spaces import Workspace
from neurodecode.workflow.speech_ceilings import CEILINGS, REASON_EXACT, ceiling_scores, has_speech_truth
from neurodecode.workflow.speech_models import SpeechModels, fit_speech_models
from neurodecode.workflow.speech_segments import SeriesBank, check_rates, segment_items
from neurodecode.workflow.train import decoder_of, train_decoder
from neurodecode.workflow.write import write_all

Step = Callable[[str], None]
TARGET = "mel"
BANDS = 20
REASON_NO_PICTURE = "speech was heard, no picture was seen"
REASON_NO_TRUTH = "a ceiling needs the ground truth, which real recordings do not have"
FOLD = 0


def is_speech(plan: Plan) -> bool:
    """Tell whether a plan is about speech: the built-in study of speech, or another whose stimuli are speech."""
    known = study_classes().get(plan.name)
    return known is not None and known.info.kind == "speech"


def run_speech_quickstart(plan: Plan, *, step: Step = print) -> Outcome:
    """Go the whole way on the built-in speech study, or on another study of speech.

    Parameters
    ----------
    plan : Plan
        What to do; `study` is the built-in one or one whose kind is ``speech``.
    step : callable
        Told each step that begins.

    Returns
    -------
    Outcome
        The records, tables and the place of the report.
    """
    space, name = Workspace(plan.output), plan.name
    built_in = name == SPEECH
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(key: str, text: str) -> Iterator[None]:
        step(text)
        begin = time.monotonic()
        yield
        seconds[key] = round(time.monotonic() - begin, 1)

    with timed("data", "Data: simulating people who listen" if built_in else "Data: looking for the study"):
        if built_in:
            simulate_spoken(space.data / name, seed=plan.seed)
        root = space.data if built_in else plan.root
    with timed("prepare", "Cache: reading, checking and resampling"):
        study = open_study(name, root)
        prepared = prepare_study(study, space.cache(name), sfreq=plan.sfreq, jobs=plan.jobs)
    with timed("embed", "Targets: mel bands, onsets and envelope of the sound, cut where the split cuts"):
        bank = make_bank(prepared, space)
    subjects = prepared.subjects
    with timed("train", "Training: one network for all subjects"):
        decode = train_network(prepared, space, plan.seed, subjects)
    with threadpool_limits(limits=1, user_api="blas"):
        with timed("rank", "Retrieval: backward ridge, encoding model, network, their fusion"):
            retrieval = rank_segments(prepared, prepared, bank, decode, subjects)
        with timed("shuffled", "Control: everything again on shuffled pairs"):
            some = subjects[: plan.shuffled_subjects or len(subjects)]
            copy = shuffled_copy(prepared, space.shuffled(name, FOLD), seed=plan.seed, fold=FOLD)
            blind = train_network(copy, space, plan.seed, some, shuffled=True)
            shuffled = rank_segments(prepared, copy, bank, blind, some)
        with timed("records", "Scores: intervals, nulls, ceilings"):
            tables = with_controls(retrieval.tables, shuffled, seed=plan.seed)
            data = study.root
            if all(has_speech_truth(data, subject) for subject in subjects):
                tables = with_speech_ceilings(tables, data, prepared)
                absent = {"exact_learner": REASON_EXACT}
            else:
                absent = dict.fromkeys((*CEILINGS, "exact_learner"), REASON_NO_TRUTH)
            joint = len(subjects) > 1
            scores, missing, answers = retrieval_records(prepared, tables, joint=joint, seed=plan.seed, absent=absent)
    with timed("report", "Report: figures and one page"):
        results = build_results(
            prepared,
            bank,
            retrieval,
            scores,
            [*missing, Absent("all", "reconstruction", "all", REASON_NO_PICTURE)],
            seed=plan.seed,
            config={**plan.plain(), "models": retrieval.reports},
            trimmed=_trimmed(prepared, len(some)),
        )
        results = replace(results, limits=limits_of(tables))
        report = write_all(plan.output, prepared, results, tables, answers, [], plan.plain())
    return Outcome(results, tables, report, seconds)


def make_bank(prepared: PreparedStudy, space: Workspace) -> SeriesBank:
    """Embed the stretches of a prepared study at the rate of its signals."""
    forbidden_as_target("mel", prepared.name)
    first = prepared.recording(prepared.subjects[0])
    encoder = MelEncoder(rate=first.sensors.sfreq, bands=BANDS)
    stimuli = prepared.stimuli
    targets = extract_speech_targets(stimuli, encoder, space.targets(prepared.name))
    bank = SeriesBank(targets, stimuli, first.n_times / first.sensors.sfreq)
    check_rates(prepared, bank)
    return bank


def train_network(
    prepared: PreparedStudy, space: Workspace, seed: int, subjects: Sequence[str], *, shuffled: bool = False
) -> Decode:
    """Train the network of the fold, once; configured by ``configs/quickstart/speech.yaml``."""
    with as_file(files("neurodecode.configs")) as folder:
        path = train_decoder(
            prepared,
            {TARGET: space.targets(prepared.name) / TARGET},
            space.model(prepared.name, FOLD, shuffled=shuffled),
            configs=[folder / "quickstart" / "speech.yaml"],
            fold=FOLD,
            seed=seed,
            subjects=list(subjects),
        )
    return decoder_of({(FOLD, subject): path for subject in subjects})


def rank_segments(
    prepared: PreparedStudy,
    source: PreparedStudy,
    bank: SeriesBank,
    decode: Decode | None,
    subjects: Sequence[str],
    *,
    layer: str = TARGET,
) -> Retrieval:
    """Fit all models and rank the segments of the test part; the gallery is every segment that tests.

    Parameters
    ----------
    prepared : PreparedStudy
        The study.
    source : PreparedStudy
        Where training and validation labels are read: the study, or its shuffled copy.
    bank : SeriesBank
        Features of all segments.
    decode : Decode, optional
        The network.
    subjects : sequence of str
        Whose windows.
    layer : str
        What the network predicts.

    Returns
    -------
    Retrieval
        Without fitted models; they are not needed again. One subject's windows are in memory at a time.
    """
    everyone = {
        str(prepared.recording(subject).windows["stimulus"].iloc[row])
        for subject in prepared.subjects
        for row in prepared.split.rows(subject, "test", fold=FOLD)
    }
    candidates = sorted(everyone - {""})
    scores: dict[tuple[str, str], Any] = {}
    chosen, reports, queries = {}, {}, []
    for subject in subjects:
        mine = segment_items(source, subject, fold=FOLD)
        lag = prepared.recording(subject).sensors.tmin
        models: SpeechModels = fit_speech_models(
            mine, bank, window_lag=lag, decode=decode, layer=layer, fold=FOLD, subject=subject
        )
        found = models.score(mine.test.signals, candidates)
        found[CHOSEN] = found[models.chosen]
        scores.update({(model, subject): matrix for model, matrix in found.items()})
        chosen[f"{subject}/{FOLD}"], reports[f"{subject}/{FOLD}"] = models.chosen, models.report()
        queries.append(
            pd.DataFrame(
                {
                    "subject": subject,
                    "query": mine.test.stimulus,
                    "stimulus": mine.test.stimulus,
                    "correct": mine.test.stimulus,
                    "unit": mine.test.group,
                    "fold": FOLD,
                    "repetitions": mine.test.repetitions,
                }
            )
        )
    texts = dict(zip(prepared.stimuli.table["stimulus"], prepared.stimuli.table["text"], strict=True))
    table = pd.DataFrame({"candidate": candidates, "text": [str(texts[name]) for name in candidates]})
    ordered = dict(sorted(scores.items(), key=lambda entry: _MODELS.index(entry[0][0])))
    return Retrieval(RankingTables(pd.concat(queries, ignore_index=True), table, ordered), chosen, reports)


_MODELS = ("fused", "decoder", "ridge", "encoding", CHOSEN)


def with_speech_ceilings(tables: RankingTables, data: Path, prepared: PreparedStudy) -> RankingTables:
    """Add what knows the truth of the simulation; the arguments are those of `rank_segments`, and the data set."""
    candidates = [str(name) for name in tables.candidates["candidate"]]
    extra = {}
    for subject in tables.subjects:
        items = segment_items(prepared, subject, fold=FOLD)
        for name, matrix in ceiling_scores(data, prepared, subject, items, candidates).items():
            extra[name, subject] = matrix
    return add_scores(tables, extra)


def limits_of(tables: RankingTables) -> list[str]:
    """Say what the intervals do not know: test segments of one sentence overlap."""
    repeated = tables.queries.groupby(["subject", "unit"]).size()
    if not (repeated > 1).any():
        return []
    return [
        f"Up to {int(repeated.max())} test segments come from one sentence or passage and may overlap; intervals and "
        "nulls take segments as independent, so the intervals are too narrow."
    ]


def _trimmed(prepared: PreparedStudy, n_shuffled: int) -> list[str]:
    rate = prepared.recording(prepared.subjects[0]).sensors.sfreq
    said = [f"Signals were analysed at {rate:g} Hz.", "One seed."]
    if n_shuffled < len(prepared.subjects):
        said.append(
            f"The shuffled control was trained again for {n_shuffled} of {len(prepared.subjects)} subjects; its mean "
            "is over those."
        )
    said.append("Linear models were fitted on training windows at least 0.75 s apart; the network saw all of them.")
    return said
