"""What turns a model into bytes and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar


class Format(ABC):
    """Turns a model into bytes and back. Subclasses give a name and implement `dumps` and `loads`.

    Built in are `SkopsFormat`, `LightGBMFormat` and `XGBoostFormat`. Another one is used for a stored model only when
    whoever loads it has passed it (`ModelRegistry(..., formats=[...])`): what a file says about itself decides nothing.
    """

    name: ClassVar[str]
    """What the registry notes beside the model; lower case letters, digits and dashes."""

    @abstractmethod
    def dumps(self, model: Any) -> bytes:
        """Return the model as bytes.

        Raises
        ------
        FormatError
            When this format cannot hold the model.
        """

    @abstractmethod
    def loads(self, data: bytes) -> Any:
        """Rebuild the model.

        Raises
        ------
        FormatError
            When the bytes cannot be read, or would be unsafe to run (`UnsafeModel`).
        """
