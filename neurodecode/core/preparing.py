"""Reading subjects into the cache, each whole or not at all, in one process or in several."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.checks import check_pairing, check_signals
from neurodecode.core.files import atomic_folder, write_table
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.stored_recording import save_recording
from neurodecode.core.study import Study


def prepare_subjects(
    study: Study,
    folder: Path,
    subjects: Sequence[str],
    sfreq: float | None,
    regions: Sequence[str],
    stimuli: Stimuli,
    *,
    jobs: int,
    progress: Callable[[str], None],
) -> None:
    """Read, check and write each subject, in this process or in several.

    Parameters
    ----------
    study : Study
        What is read.
    folder : Path
        The cache; each subject gets a folder in it, whole or not at all.
    subjects : sequence of str
        Who.
    sfreq : float or None
        Sampling rate that is asked for.
    regions : sequence of str
        Which channels or voxels are kept; none for all.
    stimuli : Stimuli
        With which the windows must pair.
    jobs : int
        How many processes.
    progress : callable
        Told each subject.

    Raises
    ------
    DataError
        For signals or windows that cannot be used; see :mod:`neurodecode.core.checks`.
    """
    if min(jobs, len(subjects)) <= 1:
        for subject in subjects:
            progress(subject)
            _prepare_subject(study, folder, subject, sfreq, regions, stimuli)
        return
    # A fresh interpreter for each: the libraries that read recordings hold threads, which do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(subjects)), mp_context=context) as pool:
        try:
            running = {
                pool.submit(_prepare_subject, study, folder, subject, sfreq, regions, stimuli): subject
                for subject in subjects
            }
            for finished in as_completed(running):
                finished.result()
                progress(running[finished])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _prepare_subject(
    study: Study, folder: Path, subject: str, sfreq: float | None, regions: Sequence[str], stimuli: Stimuli
) -> None:
    with atomic_folder(folder / subject) as temporary:
        store = ArrayStore(temporary)
        recording = study.load(subject, sfreq=sfreq, store=store)
        if regions:
            recording = recording.in_regions(regions, store)
        check_pairing(recording, stimuli)
        check_signals(recording)
        save_recording(temporary, recording, store=store)
        for name, table in study.annotations(subject).items():
            write_table(temporary / f"annotation-{name}.csv", table)
