"""Training steps of a timm network, in a process of its own: torch.compile, channels last, Adam, a fixed batch.

    python -m benchmarks.timm_steps --network efficientnet_b0 --size 380 --batch-size 32 --steps 20

For each line on its standard input it makes the steps once and prints their seconds; ``benchmarks.training`` starts it
so that its rounds alternate with ours. Needs torch and timm, and neither TensorFlow nor Keras.
"""

from __future__ import annotations

import argparse
import sys
import time

import timm
import torch


class Classifier(torch.nn.Module):
    """A timm backbone with the head of our base networks: average pooling and two logits.

    Args:
        name: Of a timm architecture.
    """

    def __init__(self, name: str):
        super().__init__()
        self.backbone = timm.create_model(name, pretrained=False, in_chans=1, num_classes=0)
        with torch.no_grad():  # timm's num_features counts dense layers of its own heads
            channels = self.backbone.forward_features(torch.zeros(2, 1, 96, 96)).shape[1]
        self.head = torch.nn.Linear(channels, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float32 ``(N, 1, H, W)`` -> logits ``(N, 2)``."""
        return self.head(self.backbone.forward_features(x).mean(dim=(2, 3)))


def main() -> None:
    """Warms up, prints "ready", then times on request."""
    flags = argparse.ArgumentParser(description="Training steps of a timm network.")
    flags.add_argument("--network", required=True)
    flags.add_argument("--size", type=int, required=True)
    flags.add_argument("--batch-size", type=int, required=True)
    flags.add_argument("--steps", type=int, required=True)
    flags.add_argument("--precision", choices=("float32", "mixed_bfloat16"), default="float32")
    options = flags.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    batch = torch.rand(options.batch_size, 1, options.size, options.size, device=device)
    batch = batch.to(memory_format=torch.channels_last)
    labels = torch.arange(options.batch_size, device=device) % 2
    network = Classifier(options.network).to(device=device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    compiled = torch.compile(network)
    mixed = options.precision == "mixed_bfloat16"

    def steps() -> None:
        for _ in range(options.steps):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, torch.bfloat16, enabled=mixed):
                loss = torch.nn.functional.cross_entropy(compiled(batch), labels)
            loss.backward()
            optimizer.step()
        loss.item()  # waits for the device

    steps()
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        steps()
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
