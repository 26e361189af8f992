"""The other side of ``benchmarks.gradcam``: pytorch-grad-cam on a network of timm, timed on demand.

Runs under the Python of ``make benchmark-environment``, which has PyTorch and none of this project. First line out:
facts as JSON. Then each line in times one map, and its seconds are a line out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib.metadata import version

import numpy as np
import timm
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

# Keras' name of an architecture -> timm's. ResNetV2: batch normalisation before each convolution in both.
TIMM_NAMES = {
    **{f"DenseNet{depth}": f"densenet{depth}" for depth in (121, 169, 201)},
    **{f"EfficientNetB{number}": f"efficientnet_b{number}" for number in range(8)},
    "InceptionResNetV2": "inception_resnet_v2",
    "InceptionV3": "inception_v3",
    "ResNet50": "resnet50",
    **{f"ResNet{depth}V2": f"resnetv2_{depth}" for depth in (50, 101, 152)},
    "VGG16": "vgg16",
    "VGG19": "vgg19",
    "Xception": "legacy_xception",
}


class Network(torch.nn.Module):
    """timm's backbone, global average pooling, and the head of ours.

    Args:
        architecture: timm's name.
        head_widths: Units of the dense layers before the output; none for a base network.
        classes: Outputs.
    """

    def __init__(self, architecture: str, head_widths: list[int], classes: int = 2):
        super().__init__()
        self.backbone = timm.create_model(architecture, pretrained=False, in_chans=1, num_classes=0)
        self.top = torch.nn.Identity()  # what enters the pooling, whatever the backbone calls it
        layers: list[torch.nn.Module] = []
        width = self.backbone.num_features
        for units in head_widths:
            layers += [torch.nn.Linear(width, units), torch.nn.ReLU()]
            width = units
        self.head = torch.nn.Sequential(*layers, torch.nn.Linear(width, classes))

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """Logits of slices ``(N, 1, H, W)``."""
        maps = self.top(self.backbone.forward_features(slices))
        return self.head(maps.mean(dim=(2, 3)))

    def used_parameters(self) -> int:
        """Parameters that ``forward`` reads: timm's VGG keeps a classifier that nothing here calls."""
        beside = getattr(self.backbone, "pre_logits", None)
        unused = sum(one.numel() for one in beside.parameters()) if beside is not None else 0
        return sum(one.numel() for one in self.parameters()) - unused


def main() -> None:
    """Answers until there is no more input."""
    flags = argparse.ArgumentParser(description="pytorch-grad-cam on one network, timed on demand.")
    flags.add_argument("backbone", choices=sorted(TIMM_NAMES))
    flags.add_argument("--head", nargs="*", type=int, default=[])
    flags.add_argument("--size", type=int, default=380)
    options = flags.parse_args()
    network = Network(TIMM_NAMES[options.backbone], options.head).eval()
    slices = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 1, options.size, options.size))).float()
    cam = GradCAM(model=network, target_layers=[network.top])
    versions = " ".join(f"{package} {version(package)}" for package in ("grad-cam", "timm", "torch"))
    facts = {
        "architecture": TIMM_NAMES[options.backbone],
        "parameters": network.used_parameters(),
        "ran_on": f"{versions}, {torch.get_num_threads()} threads",
    }
    print(json.dumps(facts), flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        cam(input_tensor=slices, targets=[ClassifierOutputTarget(1)])
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
