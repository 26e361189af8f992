"""How a patient is scanned: geometry, dose, reconstruction kernel, window, contrast, depth of breath."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from covid_core.data.chest.anatomy import Anatomy


@dataclass(frozen=True)
class Exposure:
    """How one patient was scanned and how the pictures were stored.

    Args:
        field_of_view: Side of the picture, mm.
        shift: Offset of the table's middle, mm.
        thickness: Of a slice, mm.
        noise: Standard deviation in the lungs, HU.
        sharpness: Edge overshoot of the reconstruction kernel, 0 for a soft one.
        level: Middle of the lung window, HU.
        window: Its width, HU.
        contrast: HU that contrast medium adds to the blood.
        parenchyma: HU of healthy lung in the middle of the chest.
        gravity: HU that the back of the lung is denser than its front.
        dependency: HU of the thin dense seam where the lung rests on its own weight.
    """

    field_of_view: float
    shift: tuple[float, float]
    thickness: float
    noise: float
    sharpness: float
    level: float
    window: float
    contrast: float
    parenchyma: float
    gravity: float
    dependency: float

    @classmethod
    def sample(cls, anatomy: Anatomy, rng: np.random.Generator) -> Exposure:
        """A random protocol; the field of view follows the patient's width."""
        return cls(
            field_of_view=anatomy.width * rng.uniform(278.0, 325.0),
            shift=(rng.normal(0.0, 4.0), rng.normal(4.0, 4.0)),
            thickness=rng.uniform(3.0, 7.0),
            noise=rng.uniform(14.0, 42.0),
            sharpness=rng.uniform(0.0, 0.9),
            level=rng.normal(-600.0, 45.0),
            window=rng.uniform(1300.0, 1700.0),
            contrast=rng.uniform(90.0, 220.0) if rng.random() < 0.3 else 0.0,
            parenchyma=rng.uniform(-885.0, -795.0),
            gravity=rng.uniform(20.0, 75.0),
            dependency=rng.uniform(20.0, 190.0) if rng.random() < 0.5 else 0.0,
        )
