"""What a drift detector remembers from one batch to the next."""

from __future__ import annotations

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from mlopskit.evidence import Episodes
from mlopskit.monitoring import rows_vary
from mlopskit.monitoring.drift_reports import Null
from mlopskit.monitoring.questions import Floats, Pool, Reference
from mlopskit.stats.sequential import RankBets


@frozen(eq=False)
class DriftState:
    """What a detector remembers: small, serializable, and enough to go on after a crash.

    Parameters
    ----------
    config
        Hash of the configuration the state was made under.
    null
        "batches" or "rows".
    reference
        The binning of the reference and its counts: they fix bins, levels and medians.
    batch_column
        The column that holds the batch key, or None.
    n_reference, batch_rows
        Reference batches (1 for a single frame), and their median number of rows.
    strata
        The strata that are told apart; rows of all others are not tested.
    pool
        What the next batch is compared with.
    bets
        Evidence of the batches null, or None.
    log_e, ages
        Evidence of the rows null: one number per question and bet, and over how many batches it has gathered; None for
        the batches null.
    grown
        The reference of the rows null with a tolerance, or None.
    t, n_since, n_thinned
        Batches seen, batches since the evidence last started from zero, and since stored batches were last let go.
    rebasing, collected
        Batches still to collect for a new reference, and those collected; 0 and None while not re-basing.
    drifted, quiet
        Features that stand out in the open episode, and those that are not tested while re-basing.
    episodes
        Ids seen, and the open alarm.
    doubts
        What fitting found that weakens the promise, in words.
    usual
        The shares against which small counts are scored where batches vary, or None.
    """

    config: str
    null: Null
    reference: Reference
    batch_column: str | None
    n_reference: int
    batch_rows: float
    strata: tuple[str, ...]
    pool: Pool
    bets: RankBets | None
    log_e: Floats | None
    ages: NDArray[np.uint16] | None
    grown: rows_vary.Grown | None
    t: int = 0
    n_since: int = 0
    n_thinned: int = 0
    rebasing: int = 0
    collected: Pool | None = None
    drifted: tuple[str, ...] = ()
    quiet: tuple[str, ...] = ()
    episodes: Episodes = field(factory=Episodes)
    doubts: tuple[str, ...] = ()
    usual: Floats | None = None
