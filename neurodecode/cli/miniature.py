"""Write a small simulated copy of a published data set, in the layout it has on disk."""

from pathlib import Path


def run(
    study: str, *, layout: str | None = None, output: Path | None = None, seed: int = 0, large: bool = False
) -> None:
    """Write a small simulated copy of a published data set, to try every command before the download.

    Containers, names, dtypes, order of dimensions and event codes are those of the original; the signals are planted
    and all results made from them are called simulated.

    Parameters
    ----------
    study : str
        Name of the study.
    layout : str, optional
        One of the layouts in which the study goes around; an unknown one gets the list.
    output : Path, optional
        The folder to make; by default outputs/miniatures/, the study's name and the layout.
    seed : int
        Seed of the planted signal and its noise.
    large : bool
        Write enough to train a network on, where the study's miniature can.
    """
    from rich.console import Console

    from neurodecode.datasets.miniatures.catalogue import write_miniature

    place = Path("outputs/miniatures") / (study if layout is None else f"{study}_{layout}")
    folder = write_miniature(study, place if output is None else output, layout=layout, seed=seed, large=large)
    Console().print(f"Simulated miniature of {study}: {folder}", highlight=False)
    Console().print(f"Next: neurodecode prepare {study} --root {folder}", highlight=False, soft_wrap=True)
