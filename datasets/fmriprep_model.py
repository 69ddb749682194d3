"""How the volumes that follow a trial become its response."""

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.datasets.fmriprep_responses import Response, clean_run, single_trial_betas, volumes_in_window
from neurodecode.datasets.options import one_of

HRFS = ("glover", "spm", "glover + derivative", "spm + derivative")
# Voxels that are cleaned or fitted together: bounds the memory.
VOXELS_AT_ONCE = 20_000
FLAGS = {
    "window": "cleaned within each run over all its volumes, test runs included, without labels",
    "lsa": "betas from one model a run over all its volumes: onsets of test trials were used, what they showed was not",
    "lss": "betas from a model for each trial over all volumes of its run: onsets of test trials were used, no stimuli",
}


@dataclass(frozen=True)
class ResponseModel:
    """What is taken for the response to a trial.

    Parameters
    ----------
    response : str
        ``window``: mean over the volumes of a window after the onset, after cleaning; ``lsa`` or ``lss``: betas.
    window : tuple of float
        First and last delay in seconds.
    hrf, noise : str
        Of the linear model.
    high_pass : float, optional
        Slower changes (Hz) are drift.

    Raises
    ------
    ConfigError
        If a word is not one of those known.
    """

    response: Response
    window: tuple[float, float]
    hrf: str
    noise: str
    high_pass: float | None

    def __post_init__(self) -> None:
        one_of(self.response, "response", get_args(Response))
        one_of(self.noise, "noise", ("ols", "ar1"))
        one_of(self.hrf, "hrf", HRFS)

    @property
    def unit(self) -> str:
        """Give the unit of the responses: standard deviations of the run, or percent of its mean."""
        return "z" if self.response == "window" else "percent"

    @property
    def flag(self) -> str:
        """Say what of a test run the responses have seen."""
        return FLAGS[self.response]

    def describe(self) -> dict[str, Any]:
        """Give plain values for the cache's fingerprint."""
        model = {"window": list(self.window)} if self.response == "window" else {"hrf": self.hrf, "noise": self.noise}
        return {"response": self.response, **model, "high_pass": self.high_pass}

    def compute(
        self, signals: NDArray[np.float32], events: pd.DataFrame, confounds: pd.DataFrame, times: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Compute the responses of a run, some thousand voxels at a time.

        Parameters
        ----------
        signals : ndarray of float32, shape (n_volumes, n_voxels)
            One run.
        events : pandas.DataFrame
            Columns `onset` and `duration` in seconds, one row a trial; a duration may be missing.
        confounds : pandas.DataFrame
            One row a volume.
        times : ndarray of float64, shape (n_volumes,)
            When each volume was taken, in seconds.

        Returns
        -------
        responses : ndarray of float32, shape (n_whole, n_voxels)
            Of the trials whose window lies within the run.
        whole : ndarray of bool, shape (n_trials,)
            Which trials those are.
        """
        first, count = volumes_in_window(events["onset"].to_numpy(dtype=np.float64), self.window, times)
        whole = first >= 0 if self.response == "window" else np.ones(len(events), dtype=bool)
        responses = np.empty((int(whole.sum()), signals.shape[1]), dtype=np.float32)
        lengths = events.assign(duration=events["duration"].fillna(0.0))
        # Voxels do not know of each other, except where nilearn sorts them by their autocorrelation.
        together = self.response != "window" and self.noise == "ar1"
        width = signals.shape[1] if together else VOXELS_AT_ONCE
        for begin in range(0, signals.shape[1], width):
            part = signals[:, begin : begin + width]
            if self.response == "window":
                cleaned = clean_run(part, confounds, float(times[1] - times[0]), self.high_pass)
                for row, start in enumerate(first[whole]):
                    responses[row, begin : begin + width] = cleaned[start : start + count].mean(axis=0)
            else:
                responses[:, begin : begin + width] = single_trial_betas(
                    part,
                    lengths,
                    confounds,
                    times,
                    separate=self.response == "lss",
                    hrf=self.hrf,
                    noise=self.noise,
                    high_pass=self.high_pass,
                )
        return responses, whole
