"""The built-in simulated speech study: people who never were, listening to sentences that nobody said."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import DataError
from neurodecode.core.files import read_table
from neurodecode.core.recording import Block, Recording
from neurodecode.core.split import Split
from neurodecode.core.split_rules import split_by_rule
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Study, StudyInfo
from neurodecode.datasets.bids_files import Run, bids_subjects, find_runs
from neurodecode.datasets.bids_signals import read_run
from neurodecode.datasets.preprocessing import Preprocessing
from neurodecode.datasets.speech_passages import WindowRule, check_words, find_passages
from neurodecode.datasets.speech_windows import join_windows, speech_stimuli, speech_windows
from neurodecode.datasets.speech_words import WordRule, window_rule, word_info, word_stimuli, word_windows

TEST_SHARE = 0.25
TEXT_COLUMNS = ("trial_type", "word", "phoneme", "sentence", "text", "stim_file")


class SpokenMeg(Study):
    """Simulated MEG of people listening to spoken sentences, read from its BIDS folder by the reader of real data.

    Windows of three seconds begin at words and every half second; a quarter of the sentences tests, by the hash of the
    text. A tested (or validating) sentence is one segment, from its first word: segments that overlap are no separate
    questions.

    Parameters
    ----------
    root : Path
        The folder that `neurodecode simulate speech` wrote.
    lag : float, optional
        How much later than the sound the brain window begins (s); by default 0.15, and -0.5 where words are windows.
    windows : mapping or str, optional
        As in `neurodecode.datasets.speech_study.SpeechStudy`; with ``words`` every word is a window.
    """

    info = StudyInfo(
        name="spoken_meg",
        modality="meg",
        kind="speech",
        description="Simulated MEG, 112 on-scalp magnetometers, 100 Hz, of three people listening to 480 sentences.",
        citation="simulated by neurodecode; voice: eSpeak NG",
        licence="made by the program; the voice, eSpeak NG, is GPL-3.0-or-later software",
        where="made by the program itself: neurodecode simulate speech",
        size="about 240 MB",
        simulated=True,
    )
    places: ClassVar[tuple[str, ...]] = ("spoken_meg",)
    needed: ClassVar[tuple[str, ...]] = (
        "dataset_description.json",
        "task-listening_events.json",
        "derivatives/simulation/simulation.json",
    )
    own_splits: ClassVar[tuple[str, ...]] = ("sentences",)
    preprocessing = Preprocessing()

    def __init__(self, root: Path, *, lag: float | None = None, windows: Mapping[str, Any] | str | None = None) -> None:
        super().__init__(root)
        rule = window_rule(WindowRule(duration=3.0, stride=0.5, words=True, lag=0.15), windows)
        self.rule = rule if lag is None else replace(rule, lag=lag)
        self.of_words = isinstance(self.rule, WordRule)
        if self.of_words:
            self.info = word_info(self.info)

    def subjects(self) -> list[str]:
        """List the subject folders."""
        return [subject for subject in bids_subjects(self.root) if (self.root / subject / "meg").is_dir()]

    def _runs(self, subject: str) -> list[tuple[Run, pd.DataFrame]]:
        runs = find_runs(self.root, subject, "meg")
        return [(run, read_table(run.events, required=("onset", "duration"), text=TEXT_COLUMNS)) for run in runs]

    def _words(self, run: Run, events: pd.DataFrame) -> pd.DataFrame:
        words = events[events["trial_type"] == "word"].rename(
            columns={"stim_file": "audio", "stim_onset": "audio_onset"}
        )
        return check_words(words.reset_index(drop=True), str(run.events))

    @cached_property
    def _passages(self) -> pd.DataFrame:
        """The sentences of all stories, from the events of all subjects."""
        tables = [self._words(run, events) for subject in self.subjects() for run, events in self._runs(subject)]
        if not tables:
            raise DataError(f"{self.root}: no subject with meg recordings found")
        return find_passages(tables, self.rule)

    def _windows(self, subject: str, sfreq: float, samples: Mapping[str, int] | None = None) -> pd.DataFrame:
        tables = []
        for run, events in self._runs(subject):
            table, _ = (word_windows if self.of_words else speech_windows)(
                self._words(run, events),
                self._passages,
                self.rule,
                subject=subject,
                block=run.name,
                session=run.session,
                run=run.run,
                sfreq=sfreq,
                n_samples=np.iinfo(np.int64).max if samples is None else samples[run.name],
                where=str(run.events),
            )
            tables.append(table)
        return join_windows(tables)

    def stimuli(self) -> Stimuli:
        """List the segments, or the words, that anybody heard."""
        if self.of_words:
            return word_stimuli([self._windows(subject, 100.0) for subject in self.subjects()])
        return speech_stimuli([self._windows(subject, 100.0) for subject in self.subjects()], self.root / "stimuli")

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read one subject run by run; nothing is done but resampling."""
        store = ArrayStore() if store is None else store
        blocks = {}
        for run, _ in self._runs(subject):
            data, sensors = read_run(
                run, self.root, "meg", sfreq=sfreq, tmin=self.rule.lag, settings=self.preprocessing
            )
            blocks[run.name] = Block(run.name, store.keep(data), sensors)
        rate = next(iter(blocks.values())).sensors.sfreq
        windows = self._windows(subject, rate, {name: block.data.shape[1] for name, block in blocks.items()})
        return Recording(subject, "meg", blocks, windows, simulated=True)

    def annotations(self, subject: str) -> dict[str, pd.DataFrame]:
        """Give words and phonemes of all runs."""
        parts = [events.assign(run=run.run, block=run.name) for run, events in self._runs(subject)]
        events = pd.concat(parts, ignore_index=True)
        kinds = {"words": "word", "phonemes": "phoneme"}
        return {name: events[events["trial_type"] == kind].reset_index(drop=True) for name, kind in kinds.items()}

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Split by the hash of the sentence; of one that tests or validates the first segment counts, or all words."""
        split = split_by_rule("text", windows, test_share=TEST_SHARE)
        if self.of_words:
            return split
        parts = []
        for subject, rows in split.table.groupby("subject", sort=False):
            table = windows[str(subject)].iloc[rows["window"].to_numpy(dtype=np.int64)]
            first = np.isclose(table["audio_onset"], table["passage_start"], atol=1e-3)
            keep = first | (rows["fold_0"].to_numpy() == "train")
            parts.append(rows.assign(fold_0=np.where(keep, rows["fold_0"], "")))
        rule = f"{split.rule}; a sentence that tests or validates is one segment, from its first word"
        return replace(split, table=pd.concat(parts, ignore_index=True), rule=rule)

    def steps(self) -> dict[str, Any]:
        """Describe the reader's steps."""
        return {"reader": "bids, continuous speech", "windows": self.rule.describe(), **self.preprocessing.describe()}
