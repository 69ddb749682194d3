"""Fit the linear models of several subjects and folds side by side, before they are asked for one by one."""

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.prepared import PreparedStudy
from neurodecode.encoders.linear.kept import KEY, kept_linear_suite
from neurodecode.workflow.bank import FoldBank, TargetBank
from neurodecode.workflow.items import Items, fold_items

Vectors = Mapping[str, NDArray[np.float32]]


def suite_folder(keep: Path, subject: str, fold: int) -> Path:
    """Give the folder of the linear models of one subject and fold, under the folder of a study's models."""
    return keep / f"fold{fold}" / "linear" / subject


def bank_and_predictions(
    bank: TargetBank,
    items: Items,
    subject: str,
    fold: int,
    decode: Callable[[int, str, NDArray[np.float32]], Vectors] | None,
) -> tuple[FoldBank, Vectors | None]:
    """Give the targets as a fold's models see them, and among them what the network predicts for its validation items.

    Parameters
    ----------
    bank : TargetBank
        Targets of all stimuli.
    items : Items
        The parts of the fold.
    subject, fold
        Whose, and which.
    decode : callable, optional
        The trained network; without it there are no predictions.
    """
    own = bank.fold(items.known)
    if decode is None:
        return own, None
    return own, own.place(decode(fold, subject, items.validation.averaged().signals))


def fit_ahead(
    wanted: Sequence[tuple[PreparedStudy, str, int]],
    *,
    bank: TargetBank,
    decode: Callable[[int, str, NDArray[np.float32]], Vectors] | None,
    seed: int,
    keep: Path,
    jobs: int,
    progress: Callable[[str], None] = lambda text: None,
) -> None:
    """Fit and keep what is not there yet, in several processes of one thread each.

    What they leave is looked at again by the one who asks for it, who fits anew whatever does not belong to his data.

    Parameters
    ----------
    wanted : sequence of (study, subject, fold)
        Which models.
    bank : TargetBank
        Targets of all stimuli.
    decode : callable, optional
        The trained network.
    seed : int
        Seed of inner folds.
    keep : Path
        Folder of the study's models.
    jobs : int
        How many processes. Each needs the memory of a fit: one to two gigabytes for the built-in studies.
    progress : callable
        Told the subject and fold that is done.
    """
    missing = [one for one in wanted if not (suite_folder(keep, *one[1:]) / KEY).is_file()]
    workers = min(jobs, len(missing))
    if workers <= 1:
        return
    # A fresh interpreter for each: the libraries hold threads, which do not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            running = {}
            for prepared, subject, fold in missing:
                items = fold_items(prepared, subject, fold=fold)
                known = items.known
                own, external = bank_and_predictions(bank, items, subject, fold, decode)
                job = pool.submit(_fit, prepared.folder, subject, fold, known, own.rows(known), external, seed, keep)
                running[job] = f"{subject}, fold {fold + 1}"
            for finished in as_completed(running):
                finished.result()
                progress(running[finished])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fit(
    folder: Path,
    subject: str,
    fold: int,
    known: Sequence[str],
    rows: Vectors,
    external: Vectors | None,
    seed: int,
    keep: Path,
) -> None:
    items = fold_items(PreparedStudy(folder), subject, fold=fold)
    goal = suite_folder(keep, subject, fold)
    kept_linear_suite(goal, items.train, items.validation, rows, known, decoder=external, seed=seed)
