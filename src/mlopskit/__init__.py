"""Is the model still correct? Composable MLOps primitives.

Validate data, train, register, promote, deploy, watch, decide, retrain. Names are resolved on first use (PEP 562), so
that importing this package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlopskit.batching import Batch as Batch
    from mlopskit.batching import Batcher as Batcher
    from mlopskit.comparison import compare as compare
    from mlopskit.comparison import leakage as leakage
    from mlopskit.deployment import Deployment as Deployment
    from mlopskit.errors import MlopskitError as MlopskitError
    from mlopskit.evidence import Evidence as Evidence
    from mlopskit.monitoring.bias import BiasMonitor as BiasMonitor
    from mlopskit.monitoring.bias import BiasReport as BiasReport
    from mlopskit.monitoring.domain import DomainDetector as DomainDetector
    from mlopskit.monitoring.domain import DomainReport as DomainReport
    from mlopskit.monitoring.drift import DriftDetector as DriftDetector
    from mlopskit.monitoring.drift import DriftStatistic as DriftStatistic
    from mlopskit.monitoring.drift_reports import DriftReport as DriftReport
    from mlopskit.monitoring.performance import PerformanceMonitor as PerformanceMonitor
    from mlopskit.monitoring.performance import PerformanceReport as PerformanceReport
    from mlopskit.prediction_log import PredictionLog as PredictionLog
    from mlopskit.profiling import Binning as Binning
    from mlopskit.profiling import Profile as Profile
    from mlopskit.promotion import Gate as Gate
    from mlopskit.promotion import GateReport as GateReport
    from mlopskit.promotion import MinScore as MinScore
    from mlopskit.promotion import NonInferior as NonInferior
    from mlopskit.records import Candidate as Candidate
    from mlopskit.records import Decision as Decision
    from mlopskit.records import ModelVersion as ModelVersion
    from mlopskit.records import Predictions as Predictions
    from mlopskit.registry import ModelRegistry as ModelRegistry
    from mlopskit.retraining import Every as Every
    from mlopskit.retraining import MaxAge as MaxAge
    from mlopskit.retraining import Never as Never
    from mlopskit.retraining import OnAlarm as OnAlarm
    from mlopskit.retraining import RetrainPolicy as RetrainPolicy
    from mlopskit.schema import Schema as Schema
    from mlopskit.training import TimeSplit as TimeSplit
    from mlopskit.training import Trainer as Trainer
    from mlopskit.validation import Check as Check
    from mlopskit.validation import DataValidator as DataValidator
    from mlopskit.validation import ValidationReport as ValidationReport
    from mlopskit.validation import check as check

_WHERE = {
    "Batch": "batching",
    "Batcher": "batching",
    "BiasMonitor": "monitoring.bias",
    "BiasReport": "monitoring.bias",
    "Binning": "profiling",
    "Candidate": "records",
    "Check": "validation",
    "DataValidator": "validation",
    "Decision": "records",
    "Deployment": "deployment",
    "DomainDetector": "monitoring.domain",
    "DomainReport": "monitoring.domain",
    "DriftDetector": "monitoring.drift",
    "DriftReport": "monitoring.drift_reports",
    "DriftStatistic": "monitoring.drift",
    "Every": "retraining",
    "Evidence": "evidence",
    "Gate": "promotion",
    "GateReport": "promotion",
    "MaxAge": "retraining",
    "MinScore": "promotion",
    "MlopskitError": "errors",
    "ModelRegistry": "registry",
    "ModelVersion": "records",
    "Never": "retraining",
    "NonInferior": "promotion",
    "OnAlarm": "retraining",
    "PerformanceMonitor": "monitoring.performance",
    "PerformanceReport": "monitoring.performance",
    "PredictionLog": "prediction_log",
    "Predictions": "records",
    "Profile": "profiling",
    "RetrainPolicy": "retraining",
    "Schema": "schema",
    "TimeSplit": "training",
    "Trainer": "training",
    "ValidationReport": "validation",
    "check": "validation",
    "compare": "comparison",
    "leakage": "comparison",
}

__version__ = "0.1.0"
__all__ = ["__version__", *sorted(_WHERE)]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'mlopskit' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"mlopskit.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
