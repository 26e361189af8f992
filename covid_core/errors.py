"""Every error that this project raises on purpose; the message says what was expected, what came and what to do."""


class CovidCoreError(Exception):
    """Base of all errors below; its text is fit to be shown to a user."""


class SliceError(CovidCoreError):
    """Bytes that cannot be read as one CT slice."""


class DatasetError(CovidCoreError):
    """A folder or table that cannot serve as a data set."""


class ModelError(CovidCoreError):
    """A network or a layer that does not exist, or an input that does not fit it."""


class LibraryError(CovidCoreError):
    """A trained network on disk that is missing, damaged or not what its card says."""


class ProtocolError(CovidCoreError):
    """A training protocol whose values contradict each other or the data."""


class StoreError(CovidCoreError):
    """A results store that cannot be opened, read or written."""


class EngineError(CovidCoreError):
    """A place for training, such as a Ray cluster, that is not there or has no room for a fold."""


class TimeLimitError(CovidCoreError):
    """A fold that was stopped because the time of its run was up; nothing of it is kept."""


class StudyError(CovidCoreError):
    """A study of maps whose networks, slices or settings do not fit together."""


class AccessError(CovidCoreError):
    """A login that is wanted and cannot be offered."""
