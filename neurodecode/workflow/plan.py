"""What a quickstart does, and what it leaves out."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from neurodecode.core.errors import ConfigError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.workflow.retrieve import SHUFFLED

Modality = Literal["eeg", "meg", "fmri", "speech"]
BUILT_IN = "openmoji"
#: The built-in study of speech, which is what the modality `speech` means.
SPEECH = "spoken_meg"
#: Voxels outside the visual regions are left out by anatomy, as studies of vision do; nothing else is looked at.
REGIONS = {"openmoji_fmri": ("V1", "V2", "V4", "LOC", "IT")}
#: Hz at which recordings are analysed that are faster than what is looked at in them.
RATES = {"smni_visual": 64.0}


@dataclass(frozen=True)
class Plan:
    """What the quickstart does; all of it is written into ``config.yaml``.

    Parameters
    ----------
    study : str
        ``openmoji`` or a study that `neurodecode studies` lists.
    modality : str
        Of the built-in study; ``speech`` is MEG of people who listen.
    output : Path
        The result's folder.
    root : str, optional
        Where other studies lie.
    seed : int
        Of everything.
    options : dict
        Of a study that is not built in, such as ``{"contrast": "match"}``.
    sfreq : float
        Sampling rate in Hz at which simulated EEG and MEG are analysed.
    n_pictures : int
        How many test stimuli are reconstructed.
    picture_subjects : int
        Of how many subjects.
    shuffled_subjects : int
        For how many subjects everything is trained again on shuffled pairs; 0 for all.
    n_samples : int
        Pictures drawn for each stimulus and condition.
    jobs : int
        Processes that simulate, read and fit side by side.
    """

    study: str = BUILT_IN
    modality: Modality = "eeg"
    output: Path = Path("outputs/quickstart")
    root: str | None = None
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    sfreq: float = 50.0
    n_pictures: int = 32
    picture_subjects: int = 1
    shuffled_subjects: int = 1
    n_samples: int = 1
    jobs: int = 2

    @property
    def name(self) -> str:
        """Give the study's name in the catalogue."""
        if self.study != BUILT_IN:
            return self.study
        return SPEECH if self.modality == "speech" else f"{BUILT_IN}_{self.modality}"

    @property
    def built_in(self) -> bool:
        """Tell whether the study is simulated first."""
        return self.name == SPEECH or self.name.startswith(f"{BUILT_IN}_")

    @property
    def rate(self) -> float | None:
        """Give the sampling rate in Hz to resample to; None keeps what was recorded."""
        if not self.built_in:
            return RATES.get(self.name)
        return None if self.modality == "fmri" else self.sfreq

    def plain(self) -> dict[str, Any]:
        """Give plain values for ``config.yaml``."""
        return {**asdict(self), "output": str(self.output)}


def trimmed(plan: Plan, prepared: PreparedStudy) -> list[str]:
    """Say what the quickstart leaves out of what the full commands do."""
    said = []
    if plan.built_in and prepared.info["modality"] != "fmri":
        said.append(f"Signals were simulated at 250 Hz and analysed at {plan.sfreq:g} Hz.")
    if plan.name in RATES:
        said.append(f"Signals were analysed at {RATES[plan.name]:g} Hz.")
    if plan.name in REGIONS:
        said.append(f"Only voxels in {', '.join(REGIONS[plan.name])} were used.")
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
    said.append("One seed.")
    return said


def check_plan(plan: Plan) -> None:
    """Refuse a plan that cannot work, naming the argument."""
    if plan.modality not in ("eeg", "meg", "fmri", "speech"):
        raise ConfigError(f"modality: got {plan.modality!r}, expected eeg, meg, fmri or speech")
    if plan.n_pictures < 2:
        raise ConfigError(f"n_pictures: got {plan.n_pictures}, expected at least 2")
    if plan.options and plan.built_in:
        raise ConfigError(f"options: got {', '.join(plan.options)} for the built-in study, expected none")
    for name in ("n_samples", "jobs", "picture_subjects"):
        if getattr(plan, name) < 1:
            raise ConfigError(f"{name}: got {getattr(plan, name)}, expected at least 1")
    if plan.shuffled_subjects < 0:
        raise ConfigError(f"shuffled_subjects: got {plan.shuffled_subjects}, expected at least 0")
