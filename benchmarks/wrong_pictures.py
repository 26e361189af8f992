"""Pictures that are no axial chest CT slice: generated, out of scikit-image's and scikit-learn's wheels, and made from
CT. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.body_phantoms import abdomen, head, pelvis, thigh
from benchmarks.volumes import Volume

TUNED, REPORTED = "tuned", "reported"

PHOTOGRAPHS = (
    *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "coffee.png", "coins.png", "grass.png"),
    *("gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "page.png", "retina.jpg"),
    *("rocket.jpg", "text.png", "logo.png", "microaneurysms.png", "horse.png", "clock_motion.png", "color.png"),
)
CROPS = 6
FRESH = 1000
"""The first seed and the first generated patient that nobody has looked at."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture of a known kind.

    Args:
        kind: A row of the table.
        name: What it was made from.
        pixels: float32 ``(H, W)``, grey values 0-255.
        half: ``TUNED`` if its half of the kind was looked at while rules were made, else ``REPORTED``.
        hounsfield: float32 ``(H, W)``, or None.
    """

    kind: str
    name: str
    pixels: np.ndarray
    half: str
    hounsfield: np.ndarray | None = None


def half_of(number: int) -> str:
    """Even numbers were looked at, odd ones are reported."""
    return REPORTED if number % 2 else TUNED


def generated(seeds: Iterable[int]) -> Iterator[Picture]:
    """Every kind of ``DRAWN``, once a seed; seeds below ``FRESH`` were looked at while rules were made."""
    for place, (kind, draw) in enumerate(DRAWN.items()):
        for seed in seeds:
            pixels = _grey(draw(np.random.default_rng([place, seed])))
            yield Picture(kind, f"seed {seed}", pixels, REPORTED if seed >= FRESH or kind in NEVER_TUNED else TUNED)


def photographs() -> Iterator[Picture]:
    """Scikit-image's own pictures in grey, whole and cut: those of every second file were looked at."""
    folder = _folder("skimage.data")
    for number, name in enumerate(PHOTOGRAPHS):
        whole = np.asarray(Image.open(folder / name).convert("L"), np.float32)
        for piece, pixels in enumerate(_crops(whole, np.random.default_rng([100, number]))):
            yield Picture("photographs and textures", f"{name} {piece}", pixels, half_of(number))


def other_photographs() -> Iterator[Picture]:
    """Faces of scikit-image and landscape and flower of scikit-learn."""
    faces = np.load(_folder("skimage.data") / "lfw_subset.npy", allow_pickle=False)
    for number in range(0, len(faces), 5):
        face = cv2.resize(np.float32(faces[number]), (200, 200), interpolation=cv2.INTER_CUBIC)
        yield Picture("faces and landscapes", f"face {number}", _stretched(face), REPORTED)
    folder = _folder("sklearn.datasets") / "images"
    for number, name in enumerate(("china.jpg", "flower.jpg")):
        whole = np.asarray(Image.open(folder / name).convert("L"), np.float32)
        for piece, pixels in enumerate(_crops(whole, np.random.default_rng([101, number]), 10)):
            yield Picture("faces and landscapes", f"{name} {piece}", pixels, REPORTED)


def other_planes(volume: Volume, half: str, positions: int = 24) -> Iterator[Picture]:
    """Coronal and sagittal planes through the middle of a chest, at the proportions of the body."""
    for plane in ("coronal", "sagittal"):
        length = volume.hounsfield.shape[1 if plane == "coronal" else 2]
        for at in np.linspace(0.3, 0.7, positions):
            cut = volume.plane(plane, round(at * length))
            window = (-600, 1500) if at < 0.6 else (-500, 1200)
            yield Picture(f"{plane} planes", f"{volume.name} at {at:.2f}", volume.windowed(cut, *window), half)


def projections(volume: Volume, half: str, turns: Sequence[float] = (-10, -5, 0, 5, 10)) -> Iterator[Picture]:
    """Chest X-rays as sums of attenuation from front to back, and from side to side.

    Args:
        volume: A chest.
        half: Of frontal ones; no rule was set on side views.
        turns: Degrees about the body's axis.
    """
    for turn in turns:
        for exposure in (0.7, 1.0, 1.6):
            name = f"{volume.name}, {turn:+g} degrees, exposure {exposure}"
            yield Picture("chest X-rays, frontal", name, _x_ray(volume.turned(turn), 1, exposure), half)
            yield Picture("chest X-rays, lateral", name, _x_ray(volume.turned(turn), 2, exposure), REPORTED)


def panels(slices: Sequence[np.ndarray], seed: int, count: int, half: str) -> Iterator[Picture]:
    """Two to nine slices in one picture, with and without a gap; no rule was set on grids of nine."""
    rng = np.random.default_rng([102, seed])
    grids = ((1, 2), (2, 1), (2, 2), (2, 3), (3, 3))
    for number in range(count):
        rows, columns = grids[number % len(grids)]
        start = rng.integers(0, len(slices) - rows * columns)
        gap, ground = int(rng.choice([0, 4, 12])), int(rng.choice([0, 255]))
        tiles = [
            np.pad(cv2.resize(np.float32(one), (220, 170), interpolation=cv2.INTER_AREA), gap, constant_values=ground)
            for one in slices[start : start + rows * columns]
        ]
        pixels = np.vstack([np.hstack(tiles[row * columns : (row + 1) * columns]) for row in range(rows)])
        grid = f"{rows} × {columns}"
        if rows * columns == 9:
            yield Picture("panels of nine slices", f"{grid} from {start}", pixels, REPORTED)
        else:
            yield Picture("panels of two to six slices", f"{grid} from {start}", pixels, half)


def _folder(package: str) -> Path:
    return Path(find_spec(package).origin).parent


def _crops(whole: np.ndarray, rng: np.random.Generator, count: int = CROPS) -> Iterator[np.ndarray]:
    """The picture, at most 600 pixels long, and ``count - 1`` parts of it."""
    scale = min(1, 600 / max(whole.shape))
    whole = cv2.resize(whole, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = whole.shape
    yield whole
    for _ in range(count - 1):
        share = rng.uniform(0.4, 0.9)
        tall, wide = max(64, int(share * height)), max(64, int(share * width))
        top, left = rng.integers(0, max(1, height - tall)), rng.integers(0, max(1, width - wide))
        yield whole[top : top + tall, left : left + wide]


def _x_ray(volume: Volume, axis: int, exposure: float) -> np.ndarray:
    """Beer-Lambert: attenuation of water is 0.02 a millimetre at 60 keV; film is dark where much arrives."""
    attenuation = 0.02 * np.clip(1 + volume.hounsfield / 1000, 0, None)
    depth = attenuation.sum(axis=axis) * volume.spacing[axis]
    picture = 1 - np.exp(-0.35 * exposure * depth)
    return _stretched(volume.upright(picture, axis))


def _grey(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture, 0, 255).astype(np.float32)


def _stretched(picture: np.ndarray) -> np.ndarray:
    low, high = np.percentile(picture, [0.5, 99.5])
    return _grey((picture - low) / max(1e-6, high - low) * 255)


def _sides(rng: np.random.Generator) -> tuple[int, int]:
    height = int(rng.integers(160, 420))
    return height, int(height * rng.uniform(1.0, 1.6))


def _white_noise(rng: np.random.Generator) -> np.ndarray:
    sides = _sides(rng)
    return [rng.normal(128, 50, sides), rng.uniform(0, 255, sides), 255.0 * (rng.random(sides) < 0.5)][rng.integers(3)]


def _soft_noise(rng: np.random.Generator) -> np.ndarray:
    return _stretched(cv2.GaussianBlur(rng.normal(size=_sides(rng)), (0, 0), rng.uniform(1, 25)))


def _fractal_noise(rng: np.random.Generator) -> np.ndarray:
    """Power falls with frequency as in clouds and in Perlin's noise of many octaves."""
    height, width = _sides(rng)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(rng.normal(size=(height, width))) / frequency ** rng.uniform(0.8, 2.2)
    return _stretched(np.fft.ifft2(spectrum).real)


def _blobs(rng: np.random.Generator) -> np.ndarray:
    noise = cv2.GaussianBlur(rng.normal(size=_sides(rng)), (0, 0), rng.uniform(6, 25))
    return np.where(noise > np.quantile(noise, rng.uniform(0.3, 0.7)), 220.0, 40.0)


def _gradient(rng: np.random.Generator) -> np.ndarray:
    height, width = _sides(rng)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    if rng.random() < 0.5:
        return _stretched(np.cos(angle) * x + np.sin(angle) * y)
    return _stretched(np.hypot(x - rng.uniform(-0.4, 0.4), y - rng.uniform(-0.4, 0.4)) * rng.choice([-1, 1]))


def _checkerboard(rng: np.random.Generator) -> np.ndarray:
    height, width = _sides(rng)
    period = rng.integers(8, 90)
    y, x = np.mgrid[:height, :width] // period
    return np.where(((y + x) if rng.random() < 0.6 else x) % 2, 230.0, 30.0)


def _shapes(rng: np.random.Generator) -> np.ndarray:
    height, width = _sides(rng)
    picture = np.full((height, width), float(rng.integers(0, 256)))
    for _ in range(rng.integers(2, 15)):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        axes = (int(rng.integers(8, width // 3)), int(rng.integers(8, height // 3)))
        cv2.ellipse(picture, centre, axes, float(rng.integers(0, 180)), 0, 360, float(rng.integers(0, 256)), -1)
    return picture


def _text(rng: np.random.Generator) -> np.ndarray:
    height, width = _sides(rng)
    page = Image.new("L", (width, height), 245)
    font = ImageFont.load_default(int(rng.integers(9, 30)))
    letters = "aeioutnsrhldcmfpgwybv    "
    for top in range(10, height - 20, int(font.size * 1.4)):
        line = "".join(rng.choice(list(letters), size=int(rng.integers(20, 90))))
        ImageDraw.Draw(page).text((12, top), line, fill=15, font=font)
    picture = np.asarray(page, np.float32)
    return 255 - picture if rng.random() < 0.3 else picture


def _chart(rng: np.random.Generator) -> np.ndarray:
    height, width = _sides(rng)
    picture = np.full((height, width), 250.0)
    bars = int(rng.integers(3, 12))
    for bar in range(bars):
        top = int(rng.uniform(0.1, 0.85) * height)
        left = int((bar + 0.2) / bars * width)
        cv2.rectangle(picture, (left, top), (int(left + 0.6 * width / bars), height - 15), float(rng.integers(160)), -1)
    cv2.line(picture, (5, height - 15), (width - 5, height - 15), 0, 2)
    return picture


DRAWN: MappingProxyType[str, Callable[[np.random.Generator], np.ndarray]] = MappingProxyType(
    {
        "white noise": _white_noise,
        "smooth noise": _soft_noise,
        "fractal noise": _fractal_noise,
        "two-tone blobs": _blobs,
        "gradients": _gradient,
        "checkerboards and stripes": _checkerboard,
        "drawn shapes": _shapes,
        "text pages": _text,
        "bar charts": _chart,
        "head phantoms": head,
        "abdomen phantoms": abdomen,
        "pelvis phantoms": pelvis,
        "thigh phantoms": thigh,
    }
)

NEVER_TUNED = frozenset(
    {
        *("text pages", "bar charts", "pelvis phantoms", "thigh phantoms", "faces and landscapes"),
        *("chest X-rays, lateral", "panels of nine slices"),
    }
)
"""Kinds that no rule or limit was set on: all of them are reported."""
