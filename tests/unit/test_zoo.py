import subprocess
import sys
from dataclasses import replace

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
        assert {spec.variant, other.variant} == {"base", "modified"}


def test_a_residual_network_of_each_backbone_stands_outside_the_forty():
    assert list(zoo.ALL)[:40] == list(zoo.MODELS)
    others = [spec for name, spec in zoo.ALL.items() if name not in zoo.MODELS]
    bases = [spec for spec in zoo.MODELS.values() if spec.variant == "base"]
    assert len(others) == 20
    for spec, base in zip(others, bases, strict=True):
        assert (spec.name, spec.variant) == (f"Residual-{base.name}", "residual")
        assert replace(spec, name=base.name, variant="base") == base
        assert zoo.get(spec.name) is spec
        assert zoo.partner(spec) is base
    assert {spec.variant for spec in zoo.ALL.values()} == set(zoo.VARIANTS)


def test_unknown_name_lists_names_that_look_alike():
    with pytest.raises(ModelError, match="EfficientNetB0"):
        zoo.get("efficientnet-b0")
    with pytest.raises(ModelError, match=r"one of the 60 networks.*Residual-VGG16"):
        zoo.get("residual_vgg16")


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
        "explain.activation_statistics",
        "explain.receptive_field",
        "explain.graph",
        "explain.report",
        "explain.forward",
        "explain.methods",
        "explain.excitation",
        "explain.randomisation",
        "explain.evaluation_run",
        "explain.pooled_channels",
        "explain.readout_run",
        "ui.workbench",
        "ui.method_maps",
        "ui.excitation",
        "explain.study_run",
        "ui.beside",
        "ui.fold_spread",
        "ui.downloads",
        "ui.inference",
        "ui.mistake_maps",
        "ui.pair",
        "ui.activation_views",
        "ui.activation_channel",
        "ui.activation_compare",
        "ui.activation_depth",
        "ui.activation_layers",
        "ui.visits",
        "ui.figure_maps",
        "ui.figure_layers",
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
