"""Where a run keeps its parts."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """The folders of one run.

    Parameters
    ----------
    root : Path
        Such as ``outputs/quickstart``. The result's own files stand directly in it.
    """

    root: Path

    @property
    def data(self) -> Path:
        """Give the folder of data sets that the program made itself."""
        return self.root / "data"

    def cache(self, study: str) -> Path:
        """Give the folder of a prepared study."""
        return self.root / "cache" / study

    def shuffled(self, study: str, fold: int) -> Path:
        """Give the folder of a prepared study with permuted training labels."""
        return self.root / "cache" / f"{study}-shuffled-fold{fold}"

    def pooled(self, study: str, fold: int | None = None) -> Path:
        """Give the folder of a prepared study whose people are one subject; of a fold, with permuted labels."""
        return self.root / "cache" / (f"{study}-pooled" if fold is None else f"{study}-pooled-shuffled-fold{fold}")

    def targets(self, study: str) -> Path:
        """Give the folder of a study's targets, one folder a layer."""
        return self.root / "targets" / study

    def models(self, study: str, *, shuffled: bool = False) -> Path:
        """Give the folder of all that was trained on a study."""
        return self.root / "models" / (f"{study}-shuffled" if shuffled else study)

    def model(self, study: str, fold: int, *, shuffled: bool = False) -> Path:
        """Give the folder of what was trained on one fold."""
        return self.models(study, shuffled=shuffled) / f"fold{fold}"
