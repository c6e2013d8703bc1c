"""How a batch's inputs differ from the reference's, as weights of its rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike
from scipy.special import logit

from mlopskit.errors import ConfigurationError, DataError
from mlopskit.stats.estimation.base import (
    EPS,
    FOLD_STREAM,
    N_FOLDS,
    SAME,
    Floats,
    Ints,
    block_codes,
    floats,
    generator,
    runs,
)
from mlopskit.stats.estimation.metrics import area_of


@frozen
class DensityRatio:
    """Weights that make the reference's rows look like the batch's.

    Parameters
    ----------
    weights
        Of each row of the reference, shape (n_reference,), in [0, clip]: p(x in batch) / p(x in reference).
    off_support
        Share of the batch's rows whose ratio is above the clip: hardly a row of the reference is like them. In [0, 1].
    auc
        Area under the ROC curve with which the batch was told from the reference, out of fold; .5 where it cannot be.
    clip
        The largest weight.
    clipped
        Share of the reference's rows whose weight was cut to the clip.
    n_reference, n_batch
        Numbers of rows.

    Examples
    --------
    >>> DensityRatio(weights=[2.0, 0.0], off_support=0.1, auc=0.9, clip=20, clipped=0.0, n_batch=50).effective_n
    1.0
    """

    weights: Floats = field(converter=floats, eq=SAME, repr=False)
    off_support: float = field(kw_only=True)
    auc: float = field(kw_only=True)
    clip: float = field(kw_only=True)
    clipped: float = field(kw_only=True)
    n_batch: int = field(kw_only=True)

    @property
    def n_reference(self) -> int:
        """Rows of the reference."""
        return len(self.weights)

    @property
    def effective_n(self) -> float:
        """How many unweighted rows the weighted reference is worth, (sum w)^2 / sum w^2; 0 where all weights are 0."""
        squares = float(self.weights @ self.weights)
        return float(self.weights.sum()) ** 2 / squares if squares else 0.0


def density_ratio(
    reference: ArrayLike,
    batch: ArrayLike,
    *,
    classifier: Any = None,
    reference_block: ArrayLike | None = None,
    batch_block: ArrayLike | None = None,
    clip: float = 20.0,
    seed: int = 0,
) -> DensityRatio:
    """Return how much more often than in the reference inputs like each of its rows occur in a batch.

    A classifier tells batch from reference, five-fold, each row judged by one that has not seen it:
    w(x) = p(batch | x) / p(reference | x) * n_reference / n_batch, with the counts it was trained on.

    Parameters
    ----------
    reference, batch
        Inputs, shapes (n_reference, d) and (n_batch, d); at least two rows each. NaN means missing, if the classifier
        takes it (the default does).
    classifier
        A scikit-learn classifier with `predict_proba`, cloned for each fold and trained without weights, so that its
        probabilities must be honest. By default gradient boosting of 40 small trees, which finds most shifts and knows
        little of none: without a shift it leaves an effective sample of about nine tenths (measured at 2,000 rows).
    reference_block, batch_block
        The block (day, customer) of each row, at least two blocks, which then stay whole within a fold. Leave
        `batch_block` out where the batch is a single day.
    clip
        The largest weight, above 1; batch rows with a larger ratio are off the reference's support.
    seed
        Seed of folds and of the default classifier, >= 0.

    Returns
    -------
    DensityRatio
        The weights are not rescaled: their mean is near 1 unless much was clipped or lies off the support.

    Raises
    ------
    DataError
        When there are fewer than two rows, the columns differ, or a value is infinite.
    ConfigurationError
        When the clip is not above 1, the seed is negative, or the classifier has no `predict_proba`.

    References
    ----------
    Bickel, Brueckner and Scheffer, "Discriminative learning under covariate shift" (JMLR 2009); Kish, "Survey Sampling"
    (1965), for the effective sample size.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> reference, batch = rng.normal(size=(1_000, 1)), rng.normal(1, 1, size=(500, 1))
    >>> found = density_ratio(reference, batch)
    >>> found.auc > 0.7, found.effective_n < 700
    (True, True)
    """
    if not 1 < clip < math.inf:
        raise ConfigurationError(f"density_ratio: clip={clip!r}: expected a finite weight above 1")
    sides = [_inputs("reference", reference), _inputs("batch", batch)]
    if sides[0].shape[1] != sides[1].shape[1]:
        raise DataError(f"density_ratio: got {sides[0].shape[1]} columns and {sides[1].shape[1]}; expected as many")
    fold = np.concatenate(
        [
            _fold_of_side(block, side, seed, k)
            for k, (block, side) in enumerate(zip([reference_block, batch_block], sides, strict=True))
        ]
    )
    origin = np.repeat([0, 1], [len(side) for side in sides])
    ratio = _cross_fitted(np.concatenate(sides), origin, fold, _classifier(classifier, seed))
    weights, others = ratio[origin == 0], ratio[origin == 1]
    return DensityRatio(
        np.minimum(weights, clip),
        off_support=float((others > clip).mean()),
        auc=float(area_of(ratio)(origin.astype(np.float64))),
        clip=clip,
        clipped=float((weights > clip).mean()),
        n_batch=len(others),
    )


def _fold_of_side(block: ArrayLike | None, side: Floats, seed: int, stream: int) -> Ints:
    """Return the fold of each row of the reference or the batch."""
    if block is not None:
        codes = block_codes("density_ratio", block, len(side))
        return runs(np.bincount(codes), N_FOLDS)[codes]
    dealt = np.arange(len(side)) % min(N_FOLDS, len(side))
    return generator("density_ratio", seed, FOLD_STREAM + 1 + stream).permutation(dealt)


def _classifier(classifier: Any, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    if classifier is None:
        return HistGradientBoostingClassifier(
            max_iter=40,
            max_leaf_nodes=8,
            min_samples_leaf=20,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=seed % 2**32,
        )
    if not hasattr(classifier, "predict_proba"):
        raise ConfigurationError(f"density_ratio: classifier={classifier!r} has no predict_proba; give one that has")
    return classifier


def _cross_fitted(x: Floats, origin: Ints, fold: Ints, classifier: Any) -> Floats:
    """Return the density ratio at each row, by a classifier that has not seen the row's fold."""
    from sklearn.base import clone

    ratio = np.empty(len(x))
    for k in range(int(fold.max()) + 1):
        rest = fold != k
        n_batch = int(origin[rest].sum())
        p = clone(classifier).fit(x[rest], origin[rest]).predict_proba(x[~rest])[:, 1]
        odds = np.exp(logit(np.clip(p, EPS, 1 - 1e-12)))
        ratio[~rest] = odds * (int(rest.sum()) - n_batch) / n_batch
    return ratio


def _inputs(name: str, values: ArrayLike) -> Floats:
    x = np.asarray(values)
    if x.ndim != 2 or len(x) < 2 or x.dtype.kind not in "biuf" or not x.shape[1]:
        raise DataError(f"density_ratio: {name} is {x.dtype} of shape {x.shape}; expected numbers, (2 or more rows, d)")
    x = x.astype(np.float64)
    if np.isinf(x).any():
        raise DataError(f"density_ratio: {name} has {int(np.isinf(x).sum())} infinite values; expected finite or NaN")
    return x
