"""Intervals: how far an estimate may lie from the truth, from counts or arrays, each with the paper it comes from.

- shares: `clopper_pearson` (exact at a fixed n), `wilson` (close on average), and of two groups `newcombe_wilson`
  (difference) and `katz` (ratio);
- means: `mean_t` (independent values), `upper_mean_bound` (a series of batches with autocorrelation),
  `block_bootstrap` (any statistic of a series), `cluster_bootstrap` (any score of rows in blocks);
- ranking: `auc_clustered` (area under the ROC curve, rows independent or in blocks), `auc_difference` (of two models);
- at every n at once: `beta_mixture`, `EmpiricalBernstein`, `BettingSequence`, `AsymptoticSequence`.

What a formula cannot say is decided before it: without data the interval is everything that is possible and the
estimate NaN; a share of 0 or 1 has that end of its interval at 0 or 1; values without spread give an interval of
width 0, so read `n` beside it.
"""

from mlopskit.stats.intervals.base import Interval as Interval
from mlopskit.stats.intervals.means import N_RESAMPLES as N_RESAMPLES
from mlopskit.stats.intervals.means import MeanBound as MeanBound
from mlopskit.stats.intervals.means import block_bootstrap as block_bootstrap
from mlopskit.stats.intervals.means import cluster_bootstrap as cluster_bootstrap
from mlopskit.stats.intervals.means import mean_t as mean_t
from mlopskit.stats.intervals.means import upper_mean_bound as upper_mean_bound
from mlopskit.stats.intervals.ranking import auc_clustered as auc_clustered
from mlopskit.stats.intervals.ranking import auc_difference as auc_difference
from mlopskit.stats.intervals.sequences import AsymptoticSequence as AsymptoticSequence
from mlopskit.stats.intervals.sequences import BettingSequence as BettingSequence
from mlopskit.stats.intervals.sequences import EmpiricalBernstein as EmpiricalBernstein
from mlopskit.stats.intervals.sequences import beta_mixture as beta_mixture
from mlopskit.stats.intervals.shares import clopper_pearson as clopper_pearson
from mlopskit.stats.intervals.shares import katz as katz
from mlopskit.stats.intervals.shares import newcombe_wilson as newcombe_wilson
from mlopskit.stats.intervals.shares import wilson as wilson
