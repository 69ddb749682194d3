"""Writing and reading fitted suites: arrays as safetensors, everything else as JSON. Nothing is executed on reading."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from neurodecode.core.errors import DataError
from neurodecode.core.files import atomic_folder
from neurodecode.encoders.linear.bank import BankScaler, FeatureKernel, JointComponents
from neurodecode.encoders.linear.embedding_rule import EmbeddingRule
from neurodecode.encoders.linear.encoding import EncodingModel
from neurodecode.encoders.linear.fusion import Fusion
from neurodecode.encoders.linear.noise import Whitener
from neurodecode.encoders.linear.ridge import RidgeDecoder
from neurodecode.encoders.linear.scoring import Rule
from neurodecode.encoders.linear.stage import Stage
from neurodecode.encoders.linear.subspace import Subspace
from neurodecode.encoders.linear.suite import LinearSuite

ARRAYS = "arrays.safetensors"
SETTINGS = "suite.json"
VERSION = 1

Arrays = dict[str, NDArray[Any]]


def save_suite(suite: LinearSuite, folder: Path) -> None:
    """Write a suite into a new folder, which appears only when it is complete.

    Parameters
    ----------
    suite : LinearSuite
    folder : Path
        Must not exist yet.

    Raises
    ------
    DataError
        If the folder exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise DataError(f"{folder}: exists already, expected a new folder for the linear models")
    arrays: Arrays = {}
    settings: dict[str, Any] = {
        "version": VERSION,
        "stage": _pack_stage(suite.stage, arrays),
        "ridge_rule": _pack_rule("ridge_rule", suite.ridge_rule, arrays),
        "encoding_rule": suite.encoding_rule,
        "fusion": suite.fusion.weights,
        "chosen": suite.chosen,
        "decoder_rule": None,
        "notes": suite.notes,
    }
    if isinstance(suite.decoder_rule, Rule):
        settings["decoder_rule"] = {"rule": _pack_rule("decoder_rule", suite.decoder_rule, arrays), "scales": None}
    elif suite.decoder_rule is not None:
        rule = suite.decoder_rule
        _put("decoder.offsets", rule.offsets, arrays)
        settings["decoder_rule"] = {
            "rule": _pack_rule("decoder_rule", rule.rule, arrays),
            "scales": _pack_bank("decoder", rule.scaler, rule.components, arrays),
        }
    with atomic_folder(folder) as temporary:
        save_file({name: np.ascontiguousarray(values) for name, values in arrays.items()}, temporary / ARRAYS)
        (temporary / SETTINGS).write_text(json.dumps(settings, indent=1), encoding="utf-8")


def load_suite(folder: Path) -> LinearSuite:
    """Read a suite that `save_suite` wrote.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    LinearSuite
        Scores exactly as the one that was saved.

    Raises
    ------
    DataError
        If a file is missing, damaged or of another version.
    """
    folder = Path(folder)
    for name in (SETTINGS, ARRAYS):
        if not (folder / name).is_file():
            raise DataError(f"{folder / name}: does not exist, expected the linear models of a run")
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        arrays = load_file(folder / ARRAYS)
    except (ValueError, SafetensorError) as error:
        raise DataError(f"{folder}: damaged, expected the linear models of a run ({error})") from error
    version = settings.get("version") if isinstance(settings, dict) else None
    if version != VERSION:
        raise DataError(f"{folder / SETTINGS}: got version {version}, expected {VERSION}")
    try:
        return _unpack(settings, arrays)
    except (KeyError, TypeError) as error:
        raise DataError(f"{folder}: lacks {error}, expected complete linear models") from error


def _unpack(settings: dict[str, Any], arrays: Arrays) -> LinearSuite:
    decoder_rule: EmbeddingRule | Rule | None = None
    found = settings["decoder_rule"]
    if found is not None and found["scales"] is None:
        decoder_rule = _unpack_rule("decoder_rule", found["rule"], arrays)
    elif found is not None:
        scaler, components = _unpack_bank("decoder", found["scales"], arrays)
        offsets = {layer: arrays[f"decoder.offsets.{layer}"] for layer in found["scales"]}
        decoder_rule = EmbeddingRule(scaler, components, offsets, _unpack_rule("decoder_rule", found["rule"], arrays))
    return LinearSuite(
        stage=_unpack_stage(settings["stage"], arrays),
        ridge_rule=_unpack_rule("ridge_rule", settings["ridge_rule"], arrays),
        encoding_rule=settings["encoding_rule"],
        fusion=Fusion(settings["fusion"]),
        chosen=settings["chosen"],
        decoder_rule=decoder_rule,
        notes=settings["notes"],
    )


def _put(prefix: str, values: dict[str, Any], arrays: Arrays) -> None:
    arrays.update({f"{prefix}.{name}": np.asarray(array) for name, array in values.items()})


def _pack_rule(prefix: str, rule: Rule, arrays: Arrays) -> dict[str, Any]:
    _put(prefix, dict(rule.arrays), arrays)
    return {"kind": rule.kind, "rank": rule.rank, "arrays": list(rule.arrays)}


def _unpack_rule(prefix: str, found: dict[str, Any], arrays: Arrays) -> Rule:
    return Rule(found["kind"], found["rank"], {name: arrays[f"{prefix}.{name}"] for name in found["arrays"]})


def _pack_bank(prefix: str, scaler: BankScaler, components: JointComponents, arrays: Arrays) -> dict[str, float]:
    _put(f"{prefix}.means", dict(scaler.means), arrays)
    _put(f"{prefix}.loadings", dict(components.loadings), arrays)
    return dict(scaler.scales)


def _unpack_bank(prefix: str, scales: dict[str, float], arrays: Arrays) -> tuple[BankScaler, JointComponents]:
    means = {layer: arrays[f"{prefix}.means.{layer}"] for layer in scales}
    loadings = {layer: arrays[f"{prefix}.loadings.{layer}"] for layer in scales}
    return BankScaler(means, dict(scales)), JointComponents(loadings)


def _pack_stage(stage: Stage, arrays: Arrays) -> dict[str, Any]:
    whitener, subspace, encoding, ridge = stage.whitener, stage.subspace, stage.encoding, stage.ridge
    kernel = encoding.kernel
    _put("whitener", dict(whitener.arrays), arrays)
    _put("subspace", {"mean": subspace.mean, "basis": subspace.basis, "variance": subspace.variance}, arrays)
    _put("kernel.rows", dict(kernel.rows), arrays)
    _put("kernel.means", dict(kernel.means), arrays)
    _put("encoding", {"duals": encoding.duals, "intercept": encoding.intercept, "error": encoding.model_error}, arrays)
    _put("ridge", {"weights": ridge.weights, "mean": ridge.mean, "intercept": ridge.intercept}, arrays)
    _put("ridge", {"penalties": ridge.penalties}, arrays)
    _put("stage", {"channels": stage.channels.astype(np.int64)}, arrays)
    return {
        "whitener": {
            "kind": whitener.kind,
            "shape": list(whitener.shape),
            "arrays": list(whitener.arrays),
            "notes": whitener.notes,
        },
        "scales": _pack_bank("bank", stage.scaler, stage.components, arrays),
        "kernel": {"widths": kernel.widths, "traces": kernel.traces},
        "layer_shares": encoding.layer_shares,
        "repetitions": stage.repetitions,
        "n_channels": stage.n_channels,
    }


def _unpack_stage(found: dict[str, Any], arrays: Arrays) -> Stage:
    white, kernel = found["whitener"], found["kernel"]
    scaler, components = _unpack_bank("bank", found["scales"], arrays)
    layers = list(kernel["widths"])
    feature_kernel = FeatureKernel(
        {layer: arrays[f"kernel.rows.{layer}"] for layer in layers},
        kernel["widths"],
        {layer: arrays[f"kernel.means.{layer}"] for layer in layers},
        kernel["traces"],
    )
    return Stage(
        channels=arrays["stage.channels"].astype(np.intp),
        whitener=Whitener(
            white["kind"],
            (int(white["shape"][0]), int(white["shape"][1])),
            {name: arrays[f"whitener.{name}"] for name in white["arrays"]},
            white["notes"],
        ),
        subspace=Subspace(arrays["subspace.mean"], arrays["subspace.basis"], arrays["subspace.variance"]),
        scaler=scaler,
        components=components,
        encoding=EncodingModel(
            feature_kernel,
            arrays["encoding.duals"],
            arrays["encoding.intercept"],
            found["layer_shares"],
            arrays["encoding.error"],
        ),
        ridge=RidgeDecoder(
            arrays["ridge.weights"], arrays["ridge.mean"], arrays["ridge.intercept"], arrays["ridge.penalties"]
        ),
        repetitions=found["repetitions"],
        n_channels=found["n_channels"],
    )
