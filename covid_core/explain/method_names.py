"""The methods that make maps, by name; imports no deep-learning library."""

from __future__ import annotations

METHODS = {
    "gradcam": "Grad-CAM",
    "gradcam++": "Grad-CAM++",
    "scorecam": "Score-CAM",
    "saliency": "SmoothGrad",
}
"""Name in commands and in the store, and name for people."""

SCORECAM_CHANNELS = 64
"""Channels that Score-CAM tries, each a forward pass: those that vary most over the slice."""

PIXEL_METHODS = ("saliency",)
"""Those whose maps have the size of the slice; the others have the places of the network's last maps."""
