"""What all miniatures of the Natural Scenes Dataset share: order, pictures, masks and the planted signal."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from neurodecode.datasets.miniatures.planted import PlantedSignal, picture_of

N_SUBJECTS = 8
# The second subject on disk did not finish, so it saw some pictures once or twice.
SESSIONS = {1: 4, 2: 3}
N_SESSIONS = 4
# Odd runs have two trials more than even ones, as 63 and 62 in the original.
RUNS = (16, 14, 16, 14)
SLOTS = 18
TRIALS = sum(RUNS)
N_PICTURES = N_SESSIONS * TRIALS // 3
N_SHARED = 16
ALL_PICTURES = 73000
GRIDS = {1: (8, 9, 7), 2: (9, 8, 7)}
VOXELS = {1: 60, 2: 55}
NOISE = 0.5


@dataclass(frozen=True)
class Plan:
    """Everything that is drawn.

    Parameters
    ----------
    order : ndarray of int, shape (n_trials,)
        Which of a subject's pictures each trial shows, from 0.
    pictures : ndarray of int, shape (8, n_pictures)
        Their numbers among all pictures, from 0.
    slots : ndarray of bool, shape (n_sessions, n_runs, n_slots)
        Where trials are.
    signal : PlantedSignal
        From pictures to voxels.
    """

    order: NDArray[np.int64]
    pictures: NDArray[np.int64]
    slots: NDArray[np.bool_]
    signal: PlantedSignal

    def shown(self, subject: int) -> NDArray[np.int64]:
        """Give the picture of each planned trial."""
        shown: NDArray[np.int64] = self.pictures[subject - 1, self.order]
        return shown

    def trials(self) -> pd.DataFrame:
        """Give session, run and trial of each planned trial, from 1, and the repetition of its picture."""
        session, run, _ = np.nonzero(self.slots)
        table = pd.DataFrame({"session": session + 1, "run": run + 1})
        table["trial_in_run"] = table.groupby(["session", "run"]).cumcount() + 1
        table["repetition"] = table.groupby(self.order).cumcount() + 1
        return table

    def brain(self, subject: int) -> NDArray[np.bool_]:
        """Give the brain: all but the first and last slice."""
        inside = np.zeros(GRIDS[subject], dtype=bool)
        inside[:, :, 1:-1] = True
        return inside

    def general(self, subject: int) -> NDArray[np.bool_]:
        """Give the voxels of ``nsdgeneral``, scattered over the brain."""
        where = np.argwhere(self.brain(subject))
        chosen = np.random.default_rng([5, subject]).choice(len(where), VOXELS[subject], replace=False)
        inside = np.zeros(GRIDS[subject], dtype=bool)
        inside[tuple(where[chosen].T)] = True
        return inside

    def betas(self, subject: int, n_voxels: int | None = None) -> NDArray[np.int16]:
        """Give 300 times the percent signal change of every trial on disk: ``(n_trials, n_voxels)``."""
        shown, count = self.shown(subject)[: SESSIONS[subject] * TRIALS], n_voxels or VOXELS[subject]
        clean = {n: self.signal.betas(stimulus(n), subject=subject, n_voxels=count) for n in np.unique(shown).tolist()}
        noisy = [clean[n] + self.signal.trial_noise((count,), subject, t) for t, n in enumerate(shown.tolist())]
        return np.rint(300 * np.stack(noisy)).astype(np.int16)

    def z_scored(self, subject: int) -> NDArray[np.float64]:
        """Give each session with mean 0 and deviation 1 over all its trials, as MindEye's files hold it."""
        values = self.betas(subject).reshape(SESSIONS[subject], TRIALS, -1) / 300.0
        scaled = (values - values.mean(axis=1, keepdims=True)) / values.std(axis=1, keepdims=True)
        return np.ascontiguousarray(scaled.reshape(-1, values.shape[2]))

    def volumes(self, subject: int, values: NDArray[np.int16], *key: int) -> NDArray[np.int16]:
        """Put voxels ``(n, n_voxels)`` into volumes ``(x, y, z, n)``: noise in the rest of the brain, 0 outside it."""
        grid = GRIDS[subject]
        drawn = np.random.default_rng([4, subject, *key]).normal(0, 200, (*grid, len(values)))
        volumes: NDArray[np.int16] = np.where(self.brain(subject)[..., None], drawn, 0).astype(np.int16)
        volumes[self.general(subject)] = values.T
        return volumes


def make_plan(seed: int) -> Plan:
    """Draw order and pictures."""
    generator = np.random.default_rng([seed, 3])
    order = generator.permutation(np.repeat(np.arange(N_PICTURES), 3))
    own = N_PICTURES - N_SHARED
    drawn = generator.choice(ALL_PICTURES, N_SHARED + N_SUBJECTS * own, replace=False)
    shared = np.sort(drawn[:N_SHARED])
    pictures = np.stack([np.concatenate([shared, part]) for part in drawn[N_SHARED:].reshape(N_SUBJECTS, own)])
    slots = np.zeros((N_SESSIONS, len(RUNS), SLOTS), dtype=bool)
    for run, count in enumerate(RUNS):
        slots[:, run, 1 : count + 1] = True
    return Plan(order.astype(np.int64), pictures.astype(np.int64), slots, PlantedSignal(seed, NOISE))


def stimulus(number: int) -> str:
    """Name a picture as the reader does."""
    return f"nsd-{number:05d}"


def picture(number: int, size: int) -> NDArray[np.uint8]:
    """Draw a picture of any size."""
    return np.asarray(picture_of(stimulus(number)).resize((size, size), Image.Resampling.NEAREST))


def hdf5_of_pictures(path: Path, plan: Plan, name: str, size: int, dtype: Any) -> None:
    """Write a dataset with room for all 73,000 pictures, of which those of the subjects on disk are there.

    uint8 is ``(73000, size, size, 3)``, float16 is ``(73000, 3, size, size)`` from 0 to 1.
    """
    import h5py

    shape = (size, size, 3) if dtype is np.uint8 else (3, size, size)
    numbers = np.unique(plan.pictures[[subject - 1 for subject in SESSIONS]])
    with h5py.File(path, "w") as file:
        made = file.create_dataset(name, (ALL_PICTURES, *shape), dtype, chunks=(1, *shape), compression="gzip")
        for number in numbers.tolist():
            pixels = picture(number, size)
            made[number] = pixels if dtype is np.uint8 else (pixels.transpose(2, 0, 1) / 255).astype(np.float16)


def picture_table(plan: Plan) -> pd.DataFrame:
    """Lay out ``nsd_stim_info_merged.csv``: pictures count from 0, trials from 1, 0 where a subject never saw one."""
    numbers = np.unique(plan.pictures)
    generator = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "cocoId": 100 + 7 * numbers,
            "cocoSplit": "train2017",
            "cropBox": "(0, 0, 0.1671875, 0.1671875)",
            "loss": generator.uniform(0, 0.3, len(numbers)).round(6),
            "nsdId": numbers,
            "flagged": False,
            "BOLD5000": False,
            "shared1000": np.isin(numbers, plan.pictures[0, :N_SHARED]),
        }
    )
    for subject, pictures in enumerate(plan.pictures, start=1):
        table[f"subject{subject}"] = np.isin(numbers, pictures).astype(int)
    for subject, pictures in enumerate(plan.pictures, start=1):
        trials = np.argsort(plan.order, kind="stable").reshape(N_PICTURES, 3) + 1
        place = {int(number): row for row, number in enumerate(pictures)}
        for repetition in range(3):
            table[f"subject{subject}_rep{repetition}"] = [
                int(trials[place[int(number)], repetition]) if int(number) in place else 0 for number in numbers
            ]
    return table


def responses(plan: Plan, subject: int) -> pd.DataFrame:
    """Lay out ``responses.tsv``; identifiers count from 1."""
    trials = plan.trials()
    generator = np.random.default_rng(subject)
    old = (trials["repetition"] > 1).astype(int)
    table = pd.DataFrame(
        {
            "SUBJECT": subject,
            "SESSION": trials["session"],
            "RUN": trials["run"],
            "TRIAL": trials["trial_in_run"],
            "73KID": plan.shown(subject) + 1,
            "10KID": plan.order + 1,
            "TIME": (0.5 + np.arange(len(trials)) / 1e4).round(6),
            "ISOLD": old,
            "ISCORRECT": 1.0,
            "RT": generator.uniform(500, 1500, len(trials)).round(3),
            "CHANGEMIND": 0.0,
            "MEMORYRECENT": "",
            "MEMORYFIRST": "",
            "ISOLDCURRENT": old,
            "ISCORRECTCURRENT": 1.0,
            "TOTAL1": 1,
            "TOTAL2": 0,
            "BUTTON": 1.0,
            "MISSINGDATA": 0,
        }
    )
    # A button that was not pressed leaves no reaction time.
    table.loc[3, ["ISCORRECT", "RT", "BUTTON"]] = np.nan
    return table


def behaviour(plan: Plan, subject: int) -> NDArray[np.float64]:
    """Lay out MindEye2's 17 columns for every planned trial; picture and trial count from 0, the rest from 1."""
    trials = plan.trials()
    rows = np.full((len(trials), 17), -1.0)
    rows[:, 0] = plan.shown(subject)
    rows[:, 1] = subject
    rows[:, 2:5] = trials[["session", "run", "trial_in_run"]]
    rows[:, 5] = np.arange(len(trials))
    rows[:, 6] = 0.5 + np.arange(len(trials)) / 1e4
    rows[:, 7] = trials["repetition"] > 1
    rows[:, 8] = 1
    rows[:, 16] = plan.order < N_SHARED
    return rows
