"""A map as files to keep: pictures as PNG, and one JSON with everything that it takes to make them again."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from covid_core.explain.gradcam import CamMaps
from covid_core.models.library import Card

NOTICE = (
    "Research software, not a medical device: nothing here may guide the care of a patient. Heat shows where evidence "
    "for a class enters the network's layer; it is not a lesion."
)

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a ZIP can hold: equal content gives equal bytes


def png(picture: np.ndarray) -> bytes:
    """A picture as PNG.

    Args:
        picture: uint8 grey ``(H, W)`` or RGB ``(H, W, 3)``.
    """
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def report_zip(pictures: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> bytes:
    """A ZIP of pictures and of ``report.json``; equal content gives equal bytes.

    Args:
        pictures: Name -> uint8 grey ``(H, W)`` or RGB ``(H, W, 3)``; the name's file is ``<name>.png``.
        parameters: JSON-ready values. NaN is written as null: JSON has no NaN.
    """
    text = json.dumps({"notice": NOTICE, **_finite(parameters)}, indent=2, ensure_ascii=False, allow_nan=False)
    files = {f"{name}.png": png(picture) for name, picture in pictures.items()} | {"report.json": text.encode()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    return buffer.getvalue()


def described_weights(
    network: str, card: Card | None, seed: int, input_size: int, interpolation: str
) -> dict[str, Any]:
    """Which weights made a map, and how slices were resized for them.

    Args:
        network: Name from the zoo.
        card: Of trained weights; None for random ones.
        seed: Of the random ones.
        input_size: Side of the network's square input in pixels.
        interpolation: How slices are resized to it.
    """
    seen = {"input_size": input_size, "interpolation": interpolation}
    if card is None:
        return {"network": network, "weights": "random: nothing was learned", "seed": seed, **seen}
    return {
        "network": network,
        "weights": card.key,
        "sha256": card.sha256,
        "data_set": {"name": card.dataset, "sha256": card.dataset_digest},
        "experiment": card.experiment,
        "round": card.round,
        "fold": card.fold,
        **seen,
    }


def described_map(result: CamMaps, classes: tuple[str, ...], position: int = 0) -> dict[str, Any]:
    """What a network made of one slice, and how its map came about.

    Args:
        result: Of a batch.
        classes: Names of the network's outputs.
        position: Of the slice in the batch.

    Returns:
        JSON-ready: probabilities by class, log-odds of the explained class, method, layer, score, and the raw map's
        size and largest value.
    """
    raw = result.maps[position]
    return {
        "method": "Grad-CAM (Selvaraju et al. 2017)",
        "class": classes[result.class_index],
        "layer": result.layer,
        "score": result.score,
        "raw_map": {"height": raw.shape[0], "width": raw.shape[1], "maximum": float(raw.max())},
        "probabilities": dict(zip(classes, map(float, result.probabilities[position]), strict=True)),
        "log_odds": float(result.margins[position]),
    }


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
