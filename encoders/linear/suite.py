"""Ridge, encoding model and their fusion for one subject and fold, as they were fitted: what scores and is stored."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, MismatchError
from neurodecode.encoders.linear.bank import Bank
from neurodecode.encoders.linear.embedding_rule import EmbeddingRule
from neurodecode.encoders.linear.encoding import encoding_scores
from neurodecode.encoders.linear.fusion import Fusion
from neurodecode.encoders.linear.scoring import Rule, score
from neurodecode.encoders.linear.stage import Stage
from neurodecode.encoders.linear.trials import TrialSet

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinearSuite:
    """Fitted linear models of one subject and fold.

    Parameters
    ----------
    stage : Stage
        Final fit.
    ridge_rule : Rule
        How ridge predictions are scored.
    encoding_rule : str
        How predicted signals are scored.
    fusion : Fusion
        Weights of the members of the fused ranking.
    chosen : str
        The model that did best on the queries that chose: "ridge", "encoding", "fused" or "decoder".
    decoder_rule : EmbeddingRule or Rule, optional
        How an external decoder's embeddings are scored: a rule of its own, or one that was fitted on the held-out
        predictions of ridge, on the components that ridge predicts.
    notes : dict
        What `report` returns.
    """

    stage: Stage
    ridge_rule: Rule
    encoding_rule: str
    fusion: Fusion
    chosen: str
    decoder_rule: EmbeddingRule | Rule | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def models(self) -> list[str]:
        """Names of the models that can be scored."""
        return ["ridge", "encoding", "fused", *(["decoder"] if self.decoder_rule is not None else [])]

    def predict(self, test: TrialSet) -> dict[str, NDArray[np.float32]]:
        """Ridge prediction of every layer (n, dim), in the layer's own units."""
        scores = self.stage.ridge.predict(self.stage.coordinates(test.signals))
        return self.stage.components.layers(scores, self.stage.scaler)

    def score(self, model: str, test: TrialSet, candidates: Bank, *, decoder: Bank | None = None) -> Floats:
        """Score every candidate for every row of the test set, each row on its own.

        Parameters
        ----------
        model : {"ridge", "encoding", "fused", "decoder"}
        test : TrialSet
            Rows to decode, averaged as wanted, with the number of trials in each.
        candidates : mapping of str to array of shape (n_candidates, dim)
            Bank rows of the gallery.
        decoder : mapping of str to array of shape (n_queries, dim), optional
            Embeddings that the external decoder predicts for the same rows.

        Returns
        -------
        array of shape (n_queries, n_candidates)
            Larger is better.

        Raises
        ------
        ConfigError
            If there is no such model.
        MismatchError
            If the decoder's embeddings are needed and missing.
        """
        if model not in self.models:
            raise ConfigError(f"model: got {model!r}, expected one of {', '.join(self.models)}")
        return self.score_all(test, candidates, decoder=decoder, only=model)[model]

    def score_all(
        self, test: TrialSet, candidates: Bank, *, decoder: Bank | None = None, only: str | None = None
    ) -> dict[str, Floats]:
        """Score with every model (or what `only` needs); the arguments are those of `score`."""
        needed = set(self.models) if only is None else ({*self.fusion.weights} if only == "fused" else {only})
        scores: dict[str, Floats] = {}
        coordinates = self.stage.coordinates(test.signals)
        if "ridge" in needed:
            predictions, targets = self.stage.ridge.predict(coordinates), self.stage.targets(candidates)
            scores["ridge"] = score(predictions, targets, self.ridge_rule, test.repetitions)
        if "encoding" in needed:
            predicted = self.stage.encoding.predict(self.stage.scaler.apply(candidates))
            error = self.stage.encoding.model_error
            scores["encoding"] = encoding_scores(self.encoding_rule, coordinates, predicted, error, test.repetitions)
        if "decoder" in needed:
            if decoder is None or self.decoder_rule is None:
                raise MismatchError("decoder: got no predicted embeddings, expected them since the suite has a decoder")
            if isinstance(self.decoder_rule, EmbeddingRule):
                scores["decoder"] = self.decoder_rule.score(decoder, candidates)
            else:
                sides = self.stage.targets(decoder), self.stage.targets(candidates)
                scores["decoder"] = score(*sides, self.decoder_rule, test.repetitions)
        if only in (None, "fused"):
            scores["fused"] = self.fusion.apply(scores)
        return scores

    def report(self) -> dict[str, Any]:
        """Describe what was chosen and how, as plain JSON."""
        return dict(self.notes)

    def save(self, folder: Path) -> None:
        """Write the suite into a folder that does not exist yet, as safetensors and JSON."""
        from neurodecode.encoders.linear.storage import save_suite

        save_suite(self, folder)

    @staticmethod
    def load(folder: Path) -> "LinearSuite":
        """Read a suite that `save` wrote."""
        from neurodecode.encoders.linear.storage import load_suite

        return load_suite(folder)
