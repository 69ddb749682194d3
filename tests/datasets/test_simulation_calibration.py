"""The committed noise levels are those at which the ideal learner reaches its aim on the built-in study."""

import numpy as np
import pytest
from numpy.typing import NDArray

from neurodecode.datasets import openmoji
from neurodecode.datasets.simulation.calibration import AIM, TOLERANCE, study_experiments, study_scores
from neurodecode.workflow.simulate import source_features

STUDY = openmoji.stimuli()


@pytest.fixture(scope="module")
def features() -> dict[str, NDArray[np.float32]]:
    return source_features(list(STUDY["stimulus"]))


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["eeg", "meg", "fmri"])
def test_the_ideal_learner_reaches_its_aim(features: dict[str, NDArray[np.float32]], modality: str) -> None:
    found = study_scores(study_experiments(modality, features, list(STUDY["split"])))
    assert found["ideal_learner_top1"] == pytest.approx(AIM, abs=TOLERANCE)
    assert found["ideal_learner_top5"] >= 0.99
    assert found["oracle_top1"] >= found["ideal_learner_top1"]
    assert found["exact_learner_top1"] >= found["ideal_learner_top1"]
