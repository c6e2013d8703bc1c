"""Performance without labels, and how far it may be off: what scores promise, checked on a reference that has labels.

A score that was calibrated on the reference says of each row how likely it is positive; summed over a batch it says how
many predictions should turn out right. That holds while P(y | score) stays as it was, which no formula here can see:
give the interval, the shift of the inputs and, as soon as labels arrive, the residuals beside it.

- `calibrate`, `refit`: from scores to probabilities, the method chosen out of fold; replicates for its uncertainty;
- `Confusion`, `expected_metric`: what a batch's metrics should be or, with labels in place of probabilities, are;
- `predictive_interval`, `block_heterogeneity`: where the realised metric of a batch will lie;
- `ppi_mean`: a few labels and many estimates, put together;
- `density_ratio`: how a batch's inputs differ from the reference's, as weights of its rows;
- `AdaptiveWidth`: intervals that learn from late labels, and hold in the long run whatever happens.

Decided before every formula: NaN is an error; a ratio without a denominator is NaN; without rows the estimate is NaN
and its interval everything that is possible.
"""

from mlopskit.stats.estimation.adaptive import AdaptiveWidth as AdaptiveWidth
from mlopskit.stats.estimation.base import EPS as EPS
from mlopskit.stats.estimation.base import N_FOLDS as N_FOLDS
from mlopskit.stats.estimation.calibration import Calibration as Calibration
from mlopskit.stats.estimation.calibration import Loss as Loss
from mlopskit.stats.estimation.calibration import Method as Method
from mlopskit.stats.estimation.calibration import calibrate as calibrate
from mlopskit.stats.estimation.calibration import refit as refit
from mlopskit.stats.estimation.labels import PoweredMean as PoweredMean
from mlopskit.stats.estimation.labels import ppi_mean as ppi_mean
from mlopskit.stats.estimation.metrics import RANGES as RANGES
from mlopskit.stats.estimation.metrics import Confusion as Confusion
from mlopskit.stats.estimation.metrics import expected_metric as expected_metric
from mlopskit.stats.estimation.realised import N_LEFT_OUT as N_LEFT_OUT
from mlopskit.stats.estimation.realised import Heterogeneity as Heterogeneity
from mlopskit.stats.estimation.realised import block_heterogeneity as block_heterogeneity
from mlopskit.stats.estimation.realised import predictive_interval as predictive_interval
from mlopskit.stats.estimation.shift import DensityRatio as DensityRatio
from mlopskit.stats.estimation.shift import density_ratio as density_ratio
