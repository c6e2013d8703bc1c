"""Two frames side by side: does serve look like train, and does the test know the answers.

`skew.compare` looks at each column of train and serve, as two profiles under one binning, and says by how much they
differ. `leaks.leakage` looks at the rows of train and test, and says which of them, and which features, make a test
score too good.

Both speak of effect sizes, never of p-values: with enough rows any difference is significant, and what matters is how
large it is. A difference counts once it exceeds what is tolerated plus what chance alone does to so few rows.
"""

from mlopskit.comparison.leaks import LeakageReport as LeakageReport
from mlopskit.comparison.leaks import leakage as leakage
from mlopskit.comparison.skew import SkewReport as SkewReport
from mlopskit.comparison.skew import compare as compare
