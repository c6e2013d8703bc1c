"""Is this batch what the model was made for? Every rule is counted, every bad row named by position, no row lost.

`DataValidator` compares a batch with a `Schema` and returns a `ValidationReport`; bad data never raise. One fault is
one failure: each rule of a column looks only at the rows that passed the rules before it. `report.split(batch)` parts
the rows that break an error rule from the rest.

`rules` finds the rows that break a rule, in a frame or in pieces of one; `findings` adds the pieces up; `reports`
weighs them against tolerances and says them in words; `monitor` asks whether failures are more than usual.
"""

from mlopskit.validation.checks import Check as Check
from mlopskit.validation.checks import check as check
from mlopskit.validation.monitor import ValidationMonitor as ValidationMonitor
from mlopskit.validation.monitor import ValidationMonitorReport as ValidationMonitorReport
from mlopskit.validation.reports import Failure as Failure
from mlopskit.validation.reports import ValidationReport as ValidationReport
from mlopskit.validation.validator import DataValidator as DataValidator
from mlopskit.validation.validator import Validation as Validation
from mlopskit.validation.validator import ValidatorState as ValidatorState
