"""Chest volumes to cut other planes from and to make projections of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from covid_core.data.phantom import patient_slices

LENGTH_OF_CHEST = 300.0  # mm, between the first and the last slice of a generated patient
WIDTH_OF_PICTURE = 360.0  # mm


@dataclass(frozen=True, eq=False)
class Volume:
    """A chest in Hounsfield units.

    Args:
        name: For messages.
        hounsfield: float32 ``(slices, H, W)``: from head to feet, front to back, the patient's right to left.
        spacing: Millimetres along these axes.
    """

    name: str
    hounsfield: np.ndarray
    spacing: tuple[float, float, float]

    def plane(self, name: str, at: int) -> np.ndarray:
        """The coronal or sagittal cut at a row or column, in Hounsfield units, the head on top."""
        axis = 1 if name == "coronal" else 2
        return self.upright(np.take(self.hounsfield, at, axis=axis), axis)

    def upright(self, cut: np.ndarray, axis: int) -> np.ndarray:
        """``cut`` across ``axis`` (1 or 2) at the proportions of the body, at most 400 pixels long."""
        tall = cut.shape[0] * self.spacing[0]
        wide = cut.shape[1] * self.spacing[2 if axis == 1 else 1]
        scale = 400 / max(tall, wide)
        size = (round(wide * scale), round(tall * scale))
        return cv2.resize(np.float32(cut), size, interpolation=cv2.INTER_LINEAR)

    def turned(self, degrees: float) -> Volume:
        """The same chest, turned about the body's long axis."""
        if not degrees:
            return self
        height, width = self.hounsfield.shape[1:]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
        turned = [cv2.warpAffine(one, matrix, (width, height), borderValue=-1000) for one in self.hounsfield]
        return replace(self, hounsfield=np.stack(turned))

    @staticmethod
    def windowed(hounsfield: np.ndarray, level: float = -600, width: float = 1500) -> np.ndarray:
        """Grey values 0-255 float32 in a window."""
        return np.clip((hounsfield - level + width / 2) / width * 255, 0, 255).astype(np.float32)


def phantom_volume(patient: int, slices: int = 48, size: int = 192) -> Volume:
    """A generated patient; grey values are taken as a window of −600/1500, so tissue has no contrast beyond it."""
    scan = patient_slices(patient, patient % 4 < 2, slices, size)
    hounsfield = np.stack([one.pixels for one in scan]).astype(np.float32) / 255 * 1500 - 1350
    spacing = (LENGTH_OF_CHEST / slices, WIDTH_OF_PICTURE / size, WIDTH_OF_PICTURE / size)
    return Volume(f"generated patient {patient}", hounsfield, spacing)


def nifti_volume(path: Path) -> Volume:
    """A NIfTI file of any orientation."""
    import nibabel  # of this benchmark alone

    image = nibabel.load(path)
    orientation = nibabel.orientations.axcodes2ornt("RAS")
    turn = nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), orientation)
    turned = image.as_reoriented(turn)
    values = np.clip(np.asarray(turned.dataobj, np.float32), -1024, 3071)  # x: right to left, y: back to front, z: up
    x, y, z = (float(length) for length in turned.header.get_zooms()[:3])
    return Volume(path.name, np.ascontiguousarray(values.transpose(2, 1, 0)[::-1, ::-1]), (z, y, x))


def dicom_volume(folder: Path) -> Volume:
    """A folder that holds one axial series."""
    import pydicom  # of this benchmark alone

    files = [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]
    files.sort(key=lambda file: -float(file.ImagePositionPatient[2]))
    values = [
        file.pixel_array.astype(np.float32) * float(file.RescaleSlope) + float(file.RescaleIntercept) for file in files
    ]
    apart = abs(float(files[0].ImagePositionPatient[2]) - float(files[1].ImagePositionPatient[2]))
    rows, columns = (float(length) for length in files[0].PixelSpacing)
    return Volume(folder.name, np.clip(np.stack(values), -1024, 3071), (apart, rows, columns))
