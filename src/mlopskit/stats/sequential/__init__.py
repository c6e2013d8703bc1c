"""Evidence that adds up over time: e-values, the processes that collect them, and ranks that bet.

An **e-value** is a non-negative number whose expectation is at most 1 while all is well, so that a large one speaks
against that. E-values of successive batches multiply; those of parallel questions average. Everything here is a pure
function of arrays, in logarithms, vectorised over leading axes. Three families:

- processes: `log_shiryaev_roberts` (P(alarm within T batches) <= T/A), `log_cusum` (at most T/A alarms expected);
- e-values of one batch: `log_bounded_mean` against a band, `log_tilts` and `log_share_tilts` against a pool that
  contains the batch, `log_mean_bets` and `log_gap_bets` from one number per batch;
- ranks: `smoothed_rank` of the newest batch in the bag of all, and `RankBets`, which bet on it.

Where a question cannot be asked (no rows, no spread, a share of 0 or 1) the log e-value is 0: no evidence either way.

Sources: Shin, Ramdas and Rinaldo, "E-detectors" (2023); Waudby-Smith and Ramdas, "Estimating means of bounded random
variables by betting" (JRSS B 2024); Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World" (2nd ed.
2022); Wang and Ramdas, "False discovery rate control with e-values" (JRSS B 2022); Hoeffding (JASA 1963).
"""

from mlopskit.stats.sequential.comparisons import McNemar as McNemar
from mlopskit.stats.sequential.comparisons import PairedCapital as PairedCapital
from mlopskit.stats.sequential.comparisons import TwoRates as TwoRates
from mlopskit.stats.sequential.comparisons import gate_alpha as gate_alpha
from mlopskit.stats.sequential.comparisons import log_mcnemar as log_mcnemar
from mlopskit.stats.sequential.comparisons import log_two_rates as log_two_rates
from mlopskit.stats.sequential.evalues import FRACTIONS as FRACTIONS
from mlopskit.stats.sequential.evalues import LOG_STAKE_WEIGHTS as LOG_STAKE_WEIGHTS
from mlopskit.stats.sequential.evalues import SHIFTS as SHIFTS
from mlopskit.stats.sequential.evalues import batches_to_detect as batches_to_detect
from mlopskit.stats.sequential.evalues import log_bounded_mean as log_bounded_mean
from mlopskit.stats.sequential.evalues import log_gap_bets as log_gap_bets
from mlopskit.stats.sequential.evalues import log_mean_bets as log_mean_bets
from mlopskit.stats.sequential.evalues import log_share_tilts as log_share_tilts
from mlopskit.stats.sequential.evalues import log_tilts as log_tilts
from mlopskit.stats.sequential.evalues import reference_band as reference_band
from mlopskit.stats.sequential.evalues import shifted_share as shifted_share
from mlopskit.stats.sequential.processes import KAPPAS as KAPPAS
from mlopskit.stats.sequential.processes import e_benjamini_hochberg as e_benjamini_hochberg
from mlopskit.stats.sequential.processes import log_calibrated as log_calibrated
from mlopskit.stats.sequential.processes import log_cusum as log_cusum
from mlopskit.stats.sequential.processes import log_lifetime as log_lifetime
from mlopskit.stats.sequential.processes import log_mean_exp as log_mean_exp
from mlopskit.stats.sequential.processes import log_shiryaev_roberts as log_shiryaev_roberts
from mlopskit.stats.sequential.processes import log_union as log_union
from mlopskit.stats.sequential.ranks import MAX_AGE as MAX_AGE
from mlopskit.stats.sequential.ranks import RankBets as RankBets
from mlopskit.stats.sequential.ranks import smoothed_rank as smoothed_rank
from mlopskit.stats.sequential.scores import combined_scores as combined_scores
from mlopskit.stats.sequential.scores import robust_z as robust_z
from mlopskit.stats.sequential.scores import shape_scores as shape_scores
from mlopskit.stats.sequential.scores import share_scores as share_scores
