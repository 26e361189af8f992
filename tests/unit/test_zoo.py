import subprocess
import sys

import pytest

from covid_core.errors import ModelError
from covid_core.models import zoo
from covid_core.results.published import published_rows


def test_forty_networks_in_the_order_of_the_published_tables():
    assert list(zoo.MODELS) == list(published_rows()["model"])


def test_backbone_variant_and_family_agree_with_the_published_tables():
    ours = [(spec.name, spec.backbone, spec.variant, spec.family) for spec in zoo.MODELS.values()]
    theirs = published_rows()[["model", "backbone", "variant", "family"]]
    assert ours == list(theirs.itertuples(index=False, name=None))


def test_partner_is_the_other_variant_of_the_backbone():
    for spec in zoo.MODELS.values():
        other = zoo.partner(spec)
        assert other.backbone == spec.backbone
        assert {spec.variant, other.variant} == set(zoo.VARIANTS)


def test_unknown_name_lists_names_that_look_alike():
    with pytest.raises(ModelError, match="EfficientNetB0"):
        zoo.get("efficientnet-b0")


def test_light_modules_import_no_deep_learning_library():
    """Leaderboard pages must not wait for TensorFlow; each light module is imported in one fresh interpreter."""
    heavy = (
        "models.build",
        "data.augment",
        "training.backup",
        "training.batches",
        "training.devices",
        "training.fold",
        "explain.gradcam",
        "explain.activations",
        "explain.graph",
        "ui.inference",
        "ui.pair",
        "ui.activation_views",
    )
    code = f"""
import importlib, pkgutil, sys, covid_core
heavy = {tuple("covid_core." + name for name in heavy)!r}
names = [m.name for m in pkgutil.walk_packages(covid_core.__path__, "covid_core.") if m.name not in heavy]
assert len(names) > 20, names
for name in names:
    importlib.import_module(name)
    found = {{"tensorflow", "keras", "jax", "torch", "ray"}} & set(sys.modules)
    assert not found, f"{{name}} imports {{found}}"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
