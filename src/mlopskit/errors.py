"""One exception tree: catch `MlopskitError` for everything, or the built-in co-base where one fits.

Bad data is a result one can count (a report); what is raised here is bad code, a broken promise of the caller,
or storage that does not hold what it said. Warnings mark quiet trouble, one class for each kind of trouble.
"""

from __future__ import annotations


class MlopskitError(Exception):
    """The base of every error that mlopskit raises on purpose."""


class ConfigurationError(MlopskitError, ValueError):
    """An argument has a value that cannot work; the message names it, what it got and what it expects."""


class DataError(MlopskitError, ValueError):
    """Data that the called function cannot turn into a right answer."""


class ValidationFailed(DataError):
    """Raised by `ValidationReport.raise_if_failed`: the batch breaks rules whose severity is error."""


class NotFittedError(MlopskitError, ValueError, AttributeError):
    """The component needs `fit` first."""

    @classmethod
    def of(cls, component: object) -> NotFittedError:
        """Name the component that was used too early."""
        return cls(f"this {type(component).__name__} is not fitted: call .fit(...) first")


class DuplicateBatch(MlopskitError, ValueError):
    """A batch id was seen before: each row enters the evidence once."""

    @classmethod
    def of(cls, batch_id: str) -> DuplicateBatch:
        """Name the id that came twice."""
        return cls(
            f"batch_id={batch_id!r} was seen before: each row enters the evidence once, "
            "so a retried job must not send it again; give new rows a new batch_id"
        )


class DuplicateId(MlopskitError, ValueError):
    """A row id was logged before, for the same question (prediction or label)."""


class NotFound(MlopskitError, LookupError):
    """A model, version or alias that the registry does not hold; the message lists what it holds."""


class AliasMoved(MlopskitError, RuntimeError):
    """A compare-and-set lost its race: the alias no longer points where the caller expected."""


class StorageError(MlopskitError, OSError):
    """The store cannot be used: not a directory, not writable, or full."""


class IntegrityError(MlopskitError, ValueError):
    """Stored bytes are not what was written: a blob or an event does not match its digest."""


class FormatError(MlopskitError, ValueError):
    """Bytes that no reader of this release understands, or an object that no format can write."""


class UnsafeModel(FormatError):
    """A model file asks for something outside the allow-list, or its contents would be unsafe to run."""


class StateMismatch(MlopskitError, ValueError):
    """A state was made under another configuration: turning a dial after seeing data voids the guarantee."""


class MissingExtra(MlopskitError, ImportError):
    """An optional package is not installed."""

    @classmethod
    def of(cls, package: str, extra: str) -> MissingExtra:
        """Name the package and the extra that brings it."""
        return cls(f"this needs {package}, which is not installed: pip install 'mlopskit[{extra}]'")


class MlopskitWarning(UserWarning):
    """The base of every warning that mlopskit gives."""


class SmallReference(MlopskitWarning):
    """The reference is too small for the question asked; the message says what can still be found."""


class RowsNotExchangeable(MlopskitWarning):
    """The rows of the reference are not exchangeable, so that evidence from single rows would cry wolf."""


class BatchSizeWarning(MlopskitWarning):
    """A batch's size differs so much from the reference's that the false-alarm promise weakens."""


class BatchesNotExchangeable(MlopskitWarning):
    """The batches of the reference follow one another, so that evidence from whole batches would cry wolf."""


class NotWatched(MlopskitWarning):
    """Values that a monitor cannot tell apart: of such a column only the missing share is watched."""


class EnvironmentMismatch(MlopskitWarning):
    """A model is loaded with other package versions than it was trained with."""


class ShadowFailed(MlopskitWarning):
    """A shadow model failed to predict; the champion's answer is not touched."""


class ReloadFailed(MlopskitWarning):
    """The version an alias points to could not be loaded; the one loaded before keeps serving."""
