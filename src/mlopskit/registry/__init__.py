"""Where models live: versions, what is known about them, what was in production when, and the files themselves.

- `registry`: `ModelRegistry`, the one door.
- `log`: events that only grow; `versions`: the log of a model, folded into what is true now.
- `blobs`: content by its sha256; `parts`: a model and what travels with it, as content and back.
- `data`: snapshots of tables, by the same log over the same blobs.
- `upkeep`: look at everything, remove what no version needs; `bundle`: one version as a folder of files.
- `names`: what names a version; `reports`: what is told.
"""

from mlopskit.registry.data import DataDiff as DataDiff
from mlopskit.registry.data import DataVersion as DataVersion
from mlopskit.registry.data import DataVersions as DataVersions
from mlopskit.registry.parts import LoadedModel as LoadedModel
from mlopskit.registry.registry import ModelRegistry as ModelRegistry
from mlopskit.registry.reports import CollectReport as CollectReport
from mlopskit.registry.reports import Event as Event
from mlopskit.registry.reports import Finding as Finding
from mlopskit.registry.reports import HistoryReport as HistoryReport
from mlopskit.registry.reports import LineageGraph as LineageGraph
from mlopskit.registry.reports import LineageNode as LineageNode
from mlopskit.registry.reports import VerifyReport as VerifyReport
from mlopskit.registry.reports import VersionsReport as VersionsReport
