"""Model-parameter randomisation (Adebayo et al., Sanity Checks for Saliency Maps, 2018).

A map that stays the same when the network forgets what it learned does not show what it learned.
"""

from __future__ import annotations

from typing import Any

import keras


def randomise(model: keras.Model, seed: int) -> list[str]:
    """Draw all weights anew, as they were before training: each by its layer's own initialiser.

    Args:
        model: Changed in place; give a network of your own, not one that others use.
        seed: The same seed gives the same weights. Keras' global seed is neither used nor changed.

    Returns:
        Names of the layers that were drawn anew, the last one first.
    """
    chosen = [layer for layer in reversed(model.layers) if layer.weights]
    for number, layer in enumerate(chosen):
        fresh = type(layer).from_config(_seeded(layer.get_config(), seed * 100_003 + number))
        shapes = layer.input.shape if not isinstance(layer.input, list) else [one.shape for one in layer.input]
        fresh.build(shapes)
        layer.set_weights(fresh.get_weights())
    return [layer.name for layer in chosen]


def _seeded(config: Any, seed: int) -> Any:
    """The configuration with every initialiser's open seed filled in."""
    if not isinstance(config, dict):
        return config
    return {
        key: seed if key == "seed" and value is None else _seeded(value, seed + position)
        for position, (key, value) in enumerate(config.items())
    }
