"""What every check of contents needs: how it refuses, and the number of columns an estimator reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlopskit.errors import UnsafeModel


def refuse(fact: str) -> UnsafeModel:
    """Return the error for a number that compiled code must not see."""
    return UnsafeModel(f"{fact}: the file is damaged or was made to break the process that loads it")


def n_features_of(owner: Any) -> int:
    """Return the number of columns that an estimator was fitted on; scikit-learn compares rows with it.

    Raises
    ------
    UnsafeModel
        When it is missing or no positive whole number: scikit-learn would then compare nothing.
    """
    found = vars(owner).get("n_features_in_")
    if not isinstance(found, (int, np.integer)) or isinstance(found, bool) or found < 1:
        raise refuse(f"{type(owner).__name__}.n_features_in_ is {found!r:.80}")
    return int(found)
