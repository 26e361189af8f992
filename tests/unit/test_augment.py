import numpy as np
import pytest

keras = pytest.importorskip("keras")
from covid_core.data.augment import augment  # noqa: E402
from covid_core.data.augmentation import Augmentation  # noqa: E402

NONE = Augmentation(rotation=0, shear=0, skew=0, flip=False, noise=0)


def model_of(augmentation, size=48):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((size, size, 1))
    return keras.Model(inputs, augment(inputs, augmentation))


def disc(number=16, size=48):
    """A bright disc off the centre on black: every kind of change moves or changes it."""
    y, x = np.mgrid[:size, :size]
    picture = 200.0 * ((x - 16) ** 2 + (y - 20) ** 2 < 100)
    return np.repeat(picture[None, :, :, None], number, axis=0).astype(np.float32)


@pytest.mark.parametrize("kind", [{"rotation": 20}, {"shear": 0.2}, {"skew": 0.3}, {"flip": True}, {"noise": 0.05}])
def test_each_kind_changes_training_slices_and_no_others(kind):
    model = model_of(Augmentation(**({"rotation": 0, "shear": 0, "skew": 0, "flip": False, "noise": 0} | kind)))
    slices = disc()
    np.testing.assert_array_equal(np.asarray(model(slices, training=False)), slices)
    changed = np.asarray(model(slices, training=True))
    assert changed.shape == slices.shape
    assert np.abs(changed - slices).max() > 10
    assert np.abs(changed - changed[:1]).max() > 10, "all slices of a batch were changed alike"


def test_no_kind_is_the_identity():
    inputs = keras.Input((8, 8, 1))
    assert augment(inputs, NONE) is inputs


def test_noise_has_the_stated_strength():
    flat = np.full((32, 48, 48, 1), 128.0, np.float32)
    changed = np.asarray(model_of(Augmentation(0, 0, 0, False, noise=0.02))(flat, training=True))
    assert abs(changed.std() - 0.02 * 255) < 0.2
    assert abs(changed.mean() - 128) < 0.2


def test_geometry_keeps_the_grey_range_and_fills_with_black():
    changed = np.asarray(model_of(Augmentation(noise=0))(disc() + 50, training=True))
    assert changed.min() >= 0
    assert changed.max() <= 250 + 1e-3
    corners = np.asarray(model_of(Augmentation(45, 0, 0, False, 0))(np.full((64, 48, 48, 1), 99.0), training=True))
    assert (corners[:, 0, 0] == 0).any()
