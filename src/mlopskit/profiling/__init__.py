"""What is remembered of a batch: a small `Profile` of counts, in bins that the reference fixed once.

`Binning` holds the question (where the bins lie), `Profile` the answer (how many rows fell where). Profiles under one
binning add, `profile(a) + profile(b) == profile(a and b)`: exactly for counts, to rounding for means and variances. So
a frame of any size is profiled piece by piece, wherever its rows are. Profiles hold no rows, only counts and level
names, and `redact` hides those.
"""

from mlopskit.profiling.bins import MAX_LEVELS as MAX_LEVELS
from mlopskit.profiling.bins import MAX_NUMERIC_LEVELS as MAX_NUMERIC_LEVELS
from mlopskit.profiling.bins import ColumnBins as ColumnBins
from mlopskit.profiling.bins import LevelBins as LevelBins
from mlopskit.profiling.bins import NumericBins as NumericBins
from mlopskit.profiling.columns import ColumnProfile as ColumnProfile
from mlopskit.profiling.profiles import MAX_PAIRED as MAX_PAIRED
from mlopskit.profiling.profiles import Binning as Binning
from mlopskit.profiling.profiles import Profile as Profile
from mlopskit.profiling.profiles import ProfileSet as ProfileSet
from mlopskit.profiling.profiles import total as total
