"""Scans made for the tests: a chest in Hounsfield units, as DICOM files and NIfTI volumes of every kind."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Mapping, Sequence

import nibabel
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from covid_core.data.phantom import patient_slices
from covid_core.data.window import LUNG

CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
MARKER = "DOE^MARKER^JOHN"
AXIAL = (1, 0, 0, 0, 1, 0)


def chest(height: int = 96, width: int = 128, seed: int = 0) -> np.ndarray:
    """int16 (H, W) Hounsfield units: air, a body, two lungs of different size, a spine at the back; with noise."""
    rows, columns = np.mgrid[0:height, 0:width] / [[[height]], [[width]]]
    values = np.full((height, width), -1000.0)
    values[(rows - 0.5) ** 2 / 0.18 + (columns - 0.5) ** 2 / 0.2 < 1] = 40
    values[(rows - 0.45) ** 2 / 0.07 + (columns - 0.3) ** 2 / 0.018 < 1] = -850
    values[(rows - 0.5) ** 2 / 0.05 + (columns - 0.7) ** 2 / 0.012 < 1] = -800
    values[(rows - 0.85) ** 2 + (columns - 0.5) ** 2 < 0.004] = 700
    noise = np.random.default_rng(seed).normal(0, 15, values.shape)
    return np.rint(np.clip(values + noise, -1024, 3071)).astype(np.int16)


def data_set(hounsfield: np.ndarray, intercept: int = -1024, signed: bool = False, bits: int = 12, **tags) -> Dataset:
    """A CT slice, stored with an offset; ``tags`` by keyword, None removes one."""
    stored = hounsfield.astype(np.int32) - intercept
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CT
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one = Dataset()
    one.file_meta = meta
    one.SOPClassUID = CT
    one.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    one.Modality = "CT"
    one.BodyPartExamined = "CHEST"
    one.PatientName = MARKER
    one.PatientID = MARKER
    one.InstitutionName = MARKER
    one.SeriesDescription = MARKER
    one.SeriesInstanceUID = "1.2.3.4"
    one.InstanceNumber = 1
    one.ImagePositionPatient = [-100, -80, 50]
    one.ImageOrientationPatient = list(AXIAL)
    one.PixelSpacing = [0.7, 0.8]
    one.Rows, one.Columns = hounsfield.shape[-2:]
    one.SamplesPerPixel = 1
    one.PhotometricInterpretation = "MONOCHROME2"
    one.BitsAllocated = 16
    one.BitsStored = 16 if signed else bits
    one.HighBit = one.BitsStored - 1
    one.PixelRepresentation = int(signed)
    one.RescaleIntercept, one.RescaleSlope = intercept, 1
    if hounsfield.ndim == 3:
        one.NumberOfFrames = len(hounsfield)
    one.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()
    change(one, tags)
    return one


def change(one: Dataset, tags: Mapping[str, object]) -> None:
    for keyword, value in tags.items():
        if value is None:
            del one[keyword]
        else:
            setattr(one, keyword, value)


def encoded(one: Dataset, part_10: bool = True) -> bytes:
    file = io.BytesIO()
    syntax = one.file_meta.TransferSyntaxUID
    if part_10:
        pydicom.dcmwrite(file, one, enforce_file_format=True)
    else:
        del one.file_meta
        pydicom.dcmwrite(
            file, one, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian, force_encoding=True
        )
    return file.getvalue()


def dicom(hounsfield: np.ndarray | None = None, **settings) -> bytes:
    """``data_set`` as a file."""
    return encoded(data_set(chest() if hounsfield is None else hounsfield, **settings))


def compressed(one: Dataset, syntax: str, frames: Sequence[bytes]) -> bytes:
    """The same file with pixels compressed by somebody else."""
    one.file_meta.TransferSyntaxUID = syntax
    one.PixelData = encapsulate(list(frames))
    one["PixelData"].VR = "OB"
    one["PixelData"].is_undefined_length = True
    return encoded(one)


def patient(count: int, size: int = 128) -> list[np.ndarray]:
    """int16 (size, size) Hounsfield units, from head to feet: a generated patient, whom no rule of anatomy refuses."""
    grey = [one.pixels.astype(float) for one in patient_slices(8, True, count, size)]
    return [
        np.rint(np.clip(one / 255 * LUNG.width + LUNG.level - LUNG.width / 2, -1024, 3071)).astype(np.int16)
        for one in grey
    ]


def scan(
    count: int = 5,
    distance: float = 5.0,
    height: int = 96,
    width: int = 128,
    slices: Sequence[np.ndarray] | None = None,
    **tags,
) -> list[bytes]:
    """Slices of one series from head to feet, by default simple ones, each with noise of its own."""
    slices = [chest(height, width, seed=index) for index in range(count)] if slices is None else slices
    return [
        dicom(one, InstanceNumber=index + 1, ImagePositionPatient=[-100, -80, 50 - distance * index], **tags)
        for index, one in enumerate(slices)
    ]


def nifti(values: np.ndarray, affine: np.ndarray | None = None, packed: bool = False, **fields) -> bytes:
    """A volume; ``fields`` of its header are set last."""
    image = nibabel.Nifti1Image(values, np.diag([-1.0, 1.0, 2.0, 1.0]) if affine is None else affine)
    image.header.set_slope_inter(1, 0)
    data = bytearray(image.to_bytes())
    header = nibabel.Nifti1Header.from_fileobj(io.BytesIO(bytes(data[:348])), check=False)
    for name, value in fields.items():
        header[name] = value
    data[:348] = header.binaryblock
    return gzip.compress(bytes(data), mtime=0) if packed else bytes(data)


def zipped(members: Mapping[str, bytes] | Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in dict(members).items():
            archive.writestr(name, data)
    return file.getvalue()
