"""The audit of a model file's schema: what may be built, decided here and nowhere else.

A schema is a tree of nodes; a node's loader says how skops will build it. The grammar below knows every loader, the
classes and functions it may name, and the fields it may have. A schema is read against it before skops sees the file,
and nothing in a file can widen it: no bound methods, no operators, no `functools.partial` but around the named
scikit-learn functions, no arrays of objects from bytes, no older protocols with older rules.
"""

from __future__ import annotations

import functools
import io
import json
import math
import re
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from mlopskit.errors import FormatError, UnsafeModel
from mlopskit.formats.archives import read_members

MAX_NODES = 4_000_000
"""Most nodes in a schema."""
MAX_DEPTH = 100
"""Deepest nesting of nodes in a schema."""


def _names(table: str) -> frozenset[str]:
    """Return "module.name" for each name in lines of "module: name name"."""
    rows = (line.partition(":") for line in table.strip().splitlines())
    return frozenset(f"{module.strip()}.{name}" for module, _, names in rows for name in names.split())


_OBJECTS = _names("""
    sklearn._loss.link: HalfLogitLink IdentityLink Interval LogLink LogitLink MultinomialLogit
    sklearn._loss.loss: AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss HalfMultinomialLoss
    sklearn._loss.loss: HalfPoissonLoss HalfSquaredError HalfTweedieLoss HalfTweedieLossIdentity HuberLoss PinballLoss
    sklearn.calibration: CalibratedClassifierCV _CalibratedClassifier _SigmoidCalibration _TemperatureScaling
    sklearn.cluster._kmeans: KMeans MiniBatchKMeans
    sklearn.compose._column_transformer: ColumnTransformer
    sklearn.compose._target: TransformedTargetRegressor
    sklearn.covariance._elliptic_envelope: EllipticEnvelope
    sklearn.covariance._empirical_covariance: EmpiricalCovariance
    sklearn.covariance._graph_lasso: GraphicalLasso GraphicalLassoCV
    sklearn.covariance._robust_covariance: MinCovDet
    sklearn.covariance._shrunk_covariance: LedoitWolf OAS ShrunkCovariance
    sklearn.cross_decomposition._pls: CCA PLSCanonical PLSRegression PLSSVD
    sklearn.decomposition._factor_analysis: FactorAnalysis
    sklearn.decomposition._fastica: FastICA
    sklearn.decomposition._incremental_pca: IncrementalPCA
    sklearn.decomposition._kernel_pca: KernelPCA
    sklearn.decomposition._lda: LatentDirichletAllocation
    sklearn.decomposition._nmf: MiniBatchNMF NMF
    sklearn.decomposition._pca: PCA
    sklearn.decomposition._truncated_svd: TruncatedSVD
    sklearn.discriminant_analysis: LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis
    sklearn.dummy: DummyClassifier DummyRegressor
    sklearn.ensemble._bagging: BaggingClassifier BaggingRegressor
    sklearn.ensemble._forest: ExtraTreesClassifier ExtraTreesRegressor RandomForestClassifier RandomForestRegressor
    sklearn.ensemble._forest: RandomTreesEmbedding
    sklearn.ensemble._gb: GradientBoostingClassifier GradientBoostingRegressor
    sklearn.ensemble._hist_gradient_boosting.binning: _BinMapper
    sklearn.ensemble._hist_gradient_boosting.gradient_boosting: HistGradientBoostingClassifier
    sklearn.ensemble._hist_gradient_boosting.gradient_boosting: HistGradientBoostingRegressor
    sklearn.ensemble._hist_gradient_boosting.predictor: TreePredictor
    sklearn.ensemble._iforest: IsolationForest
    sklearn.ensemble._stacking: StackingClassifier StackingRegressor
    sklearn.ensemble._voting: VotingClassifier VotingRegressor
    sklearn.ensemble._weight_boosting: AdaBoostClassifier AdaBoostRegressor
    sklearn.feature_extraction._dict_vectorizer: DictVectorizer
    sklearn.feature_extraction._hash: FeatureHasher
    sklearn.feature_extraction.text: CountVectorizer HashingVectorizer TfidfTransformer TfidfVectorizer
    sklearn.feature_selection._from_model: SelectFromModel
    sklearn.feature_selection._rfe: RFE RFECV
    sklearn.feature_selection._sequential: SequentialFeatureSelector
    sklearn.feature_selection._univariate_selection: GenericUnivariateSelect SelectFdr SelectFpr SelectFwe SelectKBest
    sklearn.feature_selection._univariate_selection: SelectPercentile
    sklearn.feature_selection._variance_threshold: VarianceThreshold
    sklearn.frozen._frozen: FrozenEstimator
    sklearn.gaussian_process._gpc: GaussianProcessClassifier _BinaryGaussianProcessClassifierLaplace
    sklearn.gaussian_process._gpr: GaussianProcessRegressor
    sklearn.gaussian_process.kernels: CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation Matern
    sklearn.gaussian_process.kernels: PairwiseKernel Product RBF RationalQuadratic Sum WhiteKernel
    sklearn.impute._base: MissingIndicator SimpleImputer
    sklearn.impute._iterative: IterativeImputer
    sklearn.impute._knn: KNNImputer
    sklearn.isotonic: IsotonicRegression
    sklearn.kernel_approximation: AdditiveChi2Sampler Nystroem PolynomialCountSketch RBFSampler SkewedChi2Sampler
    sklearn.kernel_ridge: KernelRidge
    sklearn.linear_model._base: LinearRegression
    sklearn.linear_model._bayes: ARDRegression BayesianRidge
    sklearn.linear_model._coordinate_descent: ElasticNet ElasticNetCV Lasso LassoCV MultiTaskElasticNet
    sklearn.linear_model._coordinate_descent: MultiTaskElasticNetCV MultiTaskLasso MultiTaskLassoCV
    sklearn.linear_model._glm.glm: GammaRegressor PoissonRegressor TweedieRegressor
    sklearn.linear_model._huber: HuberRegressor
    sklearn.linear_model._least_angle: Lars LarsCV LassoLars LassoLarsCV LassoLarsIC
    sklearn.linear_model._logistic: LogisticRegression LogisticRegressionCV
    sklearn.linear_model._omp: OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV
    sklearn.linear_model._passive_aggressive: PassiveAggressiveClassifier PassiveAggressiveRegressor
    sklearn.linear_model._perceptron: Perceptron
    sklearn.linear_model._quantile: QuantileRegressor
    sklearn.linear_model._ransac: RANSACRegressor
    sklearn.linear_model._ridge: Ridge RidgeCV RidgeClassifier RidgeClassifierCV
    sklearn.linear_model._stochastic_gradient: SGDClassifier SGDOneClassSVM SGDRegressor
    sklearn.linear_model._theil_sen: TheilSenRegressor
    sklearn.metrics._scorer: _CurveScorer _PassthroughScorer _Scorer
    sklearn.mixture._bayesian_mixture: BayesianGaussianMixture
    sklearn.mixture._gaussian_mixture: GaussianMixture
    sklearn.model_selection._classification_threshold: FixedThresholdClassifier TunedThresholdClassifierCV
    sklearn.model_selection._search: GridSearchCV RandomizedSearchCV
    sklearn.model_selection._split: GroupKFold GroupShuffleSplit KFold LeaveOneGroupOut LeaveOneOut LeavePGroupsOut
    sklearn.model_selection._split: LeavePOut PredefinedSplit RepeatedKFold RepeatedStratifiedKFold ShuffleSplit
    sklearn.model_selection._split: StratifiedGroupKFold StratifiedKFold StratifiedShuffleSplit TimeSeriesSplit
    sklearn.multiclass: OneVsOneClassifier OneVsRestClassifier OutputCodeClassifier _ConstantPredictor
    sklearn.multioutput: ClassifierChain MultiOutputClassifier MultiOutputRegressor RegressorChain
    sklearn.naive_bayes: BernoulliNB CategoricalNB ComplementNB GaussianNB MultinomialNB
    sklearn.neighbors._classification: KNeighborsClassifier RadiusNeighborsClassifier
    sklearn.neighbors._graph: KNeighborsTransformer RadiusNeighborsTransformer
    sklearn.neighbors._kde: KernelDensity
    sklearn.neighbors._lof: LocalOutlierFactor
    sklearn.neighbors._nca: NeighborhoodComponentsAnalysis
    sklearn.neighbors._nearest_centroid: NearestCentroid
    sklearn.neighbors._regression: KNeighborsRegressor RadiusNeighborsRegressor
    sklearn.neighbors._unsupervised: NearestNeighbors
    sklearn.neural_network._multilayer_perceptron: MLPClassifier MLPRegressor
    sklearn.neural_network._stochastic_optimizers: AdamOptimizer SGDOptimizer
    sklearn.pipeline: FeatureUnion Pipeline
    sklearn.preprocessing._data: Binarizer KernelCenterer MaxAbsScaler MinMaxScaler Normalizer PowerTransformer
    sklearn.preprocessing._data: QuantileTransformer RobustScaler StandardScaler
    sklearn.preprocessing._discretization: KBinsDiscretizer
    sklearn.preprocessing._encoders: OneHotEncoder OrdinalEncoder
    sklearn.preprocessing._function_transformer: FunctionTransformer
    sklearn.preprocessing._label: LabelBinarizer LabelEncoder MultiLabelBinarizer
    sklearn.preprocessing._polynomial: PolynomialFeatures SplineTransformer
    sklearn.preprocessing._target_encoder: TargetEncoder
    sklearn.random_projection: GaussianRandomProjection SparseRandomProjection
    sklearn.semi_supervised._self_training: SelfTrainingClassifier
    sklearn.svm._classes: LinearSVC LinearSVR NuSVC NuSVR OneClassSVM SVC SVR
    sklearn.tree._classes: DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor
    sklearn.utils._metadata_requests: MetadataRequest MethodMetadataRequest
    scipy.interpolate._bsplines: BSpline
""")
"""Classes whose attributes a file may set: they predict by numpy, or by compiled code that `check_contents` covers."""

SEARCH_TREES = _names("""
    sklearn.neighbors._ball_tree: BallTree
    sklearn.neighbors._kd_tree: KDTree
""")
_METRICS = _names("""
    sklearn.metrics._dist_metrics: BrayCurtisDistance64 CanberraDistance64 ChebyshevDistance64 DiceDistance64
    sklearn.metrics._dist_metrics: EuclideanDistance64 HammingDistance64 HaversineDistance64 JaccardDistance64
    sklearn.metrics._dist_metrics: MahalanobisDistance64 ManhattanDistance64 MinkowskiDistance64
    sklearn.metrics._dist_metrics: RogersTanimotoDistance64 RussellRaoDistance64 SEuclideanDistance64
    sklearn.metrics._dist_metrics: SokalSneathDistance64
""")
_TUPLE_STATES = {
    **{name: [*["NdArrayNode"] * 4, *["JsonNode"] * 7, "ObjectNode", "NdArrayNode JsonNode"] for name in SEARCH_TREES},
    **{name: ["JsonNode", "NdArrayNode", "NdArrayNode"] for name in _METRICS},
}
"""Compiled classes whose state is a tuple, and the nodes that may stand in it: None for an array is followed as one."""

_LOSSES = _names("""
    sklearn._loss._loss: CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss CyHalfMultinomialLoss
    sklearn._loss._loss: CyHalfPoissonLoss CyHalfSquaredError CyHalfTweedieLoss CyHalfTweedieLossIdentity CyHuberLoss
    sklearn._loss._loss: CyPinballLoss
    sklearn.linear_model._sgd_fast: EpsilonInsensitive Hinge ModifiedHuber SquaredEpsilonInsensitive SquaredHinge
""")

_FUNCTIONS = _names("""
    numpy: absolute arccos arccosh arcsin arcsinh arctan arctanh cbrt ceil cos cosh deg2rad degrees exp exp2 expm1 fabs
    numpy: floor isfinite isinf isnan log log10 log1p log2 logical_not negative positive rad2deg radians reciprocal rint
    numpy: sign sin sinh sqrt square tan tanh trunc
    scipy._lib.array_api_compat.numpy._aliases: asarray
    scipy.special._ufuncs: expit log_expit logit
    sklearn.feature_selection._univariate_selection: chi2 f_classif f_oneway f_regression r_regression
    sklearn.metrics._classification: accuracy_score balanced_accuracy_score brier_score_loss f1_score jaccard_score
    sklearn.metrics._classification: log_loss matthews_corrcoef precision_score recall_score
    sklearn.metrics._ranking: average_precision_score roc_auc_score top_k_accuracy_score
    sklearn.metrics._regression: d2_absolute_error_score explained_variance_score max_error mean_absolute_error
    sklearn.metrics._regression: mean_absolute_percentage_error mean_gamma_deviance mean_poisson_deviance
    sklearn.metrics._regression: mean_squared_error mean_squared_log_error median_absolute_error r2_score
    sklearn.metrics._regression: root_mean_squared_error root_mean_squared_log_error
    sklearn.utils.validation: check_array
""")
"""Functions a file may refer to: of arrays, without side effects."""

_SCALARS = _names("""
    numpy: bool bool_ datetime64 float16 float32 float64 int16 int32 int64 int8 str_ timedelta64 uint16 uint32 uint64
    numpy: uint8
""")
_TYPES = _names("builtins: bool float int str") | _SCALARS
_DICTS = _names("""
    builtins: dict
    collections: OrderedDict
    sklearn.utils._bunch: Bunch
""")
_TREE = "sklearn.tree._tree.Tree"
_TRIPLET = "sklearn.impute._iterative._ImputerTriplet"
_SPARSE = {
    "scipy.sparse._coo.coo_array": "coo",
    "scipy.sparse._coo.coo_matrix": "coo",
    "scipy.sparse._csc.csc_array": "csc",
    "scipy.sparse._csc.csc_matrix": "csc",
    "scipy.sparse._csr.csr_array": "csr",
    "scipy.sparse._csr.csr_matrix": "csr",
}
"""Sparse matrices by full name, and what their file says of them."""
_SPARSE_PARTS = {
    "coo": {"row", "col", "data", "shape", "format"},
    "csc": {"indices", "indptr", "data", "shape", "format"},
    "csr": {"indices", "indptr", "data", "shape", "format"},
}

_SPARSE_MEMBER = re.compile(r"[a-z_]+\.npy")

_BUILT = _OBJECTS | SEARCH_TREES | _METRICS
TRUSTED = frozenset(
    _BUILT | _LOSSES | _FUNCTIONS | _TYPES | _DICTS | {*_SPARSE, _TREE, _TRIPLET, "functools.partial", "numpy.dtype"}
)
"""Everything above by full name, for the second audit, which skops does itself."""


_LONGEST_HEADER = 1 << 14
_NPY_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def npy_header(data: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return dtype and shape of a .npy file whose bytes are all there."""
    n_length = 2 if data[6:7] == b"\x01" else 4
    n_header = 8 + n_length + int.from_bytes(data[8 : 8 + n_length], "little")
    dtype, shape = _parsed(data[: min(n_header, _LONGEST_HEADER)])
    if dtype.hasobject or dtype.kind not in "biufcSUMmV":
        raise UnsafeModel(f"an array has dtype {dtype}; objects are never read from an array's bytes")
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != len(data) - n_header:
        raise UnsafeModel(f"an array claims shape {shape} of {dtype}, and holds {len(data) - n_header} bytes")
    return dtype, shape


@functools.lru_cache(4096)
def _parsed(header: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    stream = io.BytesIO(header)
    try:
        shape, _, dtype = _NPY_READERS[np.lib.format.read_magic(stream)](stream)
    except Exception as error:  # numpy parses the header with ast: several errors are possible
        raise FormatError(f"an array's header cannot be read: {error}") from error
    return dtype, shape


class Audit:
    """Reads a schema node by node against a fixed grammar; everything outside it is refused by name."""

    _FIELDS: ClassVar[dict[str, frozenset[str]]] = {
        "DTypeNode": frozenset({"content"}),
        "DictNode": frozenset({"content", "key_types"}),
        "FunctionNode": frozenset(),
        "JsonNode": frozenset({"content", "is_json"}),
        "ListNode": frozenset({"content"}),
        "LossNode": frozenset({"content", "__reduce__"}),
        "MaskedArrayNode": frozenset({"content"}),
        "NdArrayNode": frozenset({"content", "file", "shape", "type"}),
        "ObjectNode": frozenset({"content"}),
        "PartialNode": frozenset({"content"}),
        "RandomGeneratorNode": frozenset({"content"}),
        "RandomStateNode": frozenset({"content"}),
        "SetNode": frozenset({"content"}),
        "SliceNode": frozenset({"content"}),
        "SparseMatrixNode": frozenset({"file", "type"}),
        "TreeNode": frozenset({"content", "__reduce__"}),
        "TupleNode": frozenset({"content"}),
        "TypeNode": frozenset(),
    }
    _CLASSES: ClassVar[dict[str, frozenset[str]]] = {
        "DTypeNode": frozenset({"numpy.dtype"}),
        "DictNode": _DICTS,
        "FunctionNode": _FUNCTIONS,
        "JsonNode": frozenset({"builtins.str"}),
        "ListNode": frozenset({"builtins.list"}),
        "LossNode": _LOSSES,
        "MaskedArrayNode": frozenset({"numpy.ma.MaskedArray"}),
        "NdArrayNode": _SCALARS | {"numpy.ndarray"},
        "ObjectNode": _BUILT,
        "PartialNode": frozenset({"functools.partial"}),
        "RandomGeneratorNode": frozenset({"numpy.random._generator.Generator"}),
        "RandomStateNode": frozenset({"numpy.random.mtrand.RandomState"}),
        "SetNode": frozenset({"builtins.set"}),
        "SliceNode": frozenset({"builtins.slice"}),
        "SparseMatrixNode": frozenset(_SPARSE),
        "TreeNode": frozenset({_TREE}),
        "TupleNode": frozenset({"builtins.tuple", _TRIPLET}),
        "TypeNode": _TYPES,
    }

    def __init__(self, members: dict[str, bytes]) -> None:
        self._members = members
        self.names: set[str] = set()
        self._used: set[str] = set()
        self._headers: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
        self._seen: dict[int, Any] = {}
        self._n_nodes = 0

    def run(self, schema: dict[str, Any]) -> None:
        """Check the whole schema.

        Raises
        ------
        UnsafeModel
            For the first part outside the grammar.
        FormatError
            For a protocol that this release does not read.
        """
        from skops.io._protocol import PROTOCOL

        protocol = schema.get("protocol")
        if type(protocol) is not int or not 2 <= protocol <= PROTOCOL:
            raise FormatError(f"the model file has protocol {protocol!r}; this release reads 2 to {PROTOCOL}")
        root = {key: value for key, value in schema.items() if key not in {"protocol", "_skops_version"}}
        try:
            self._node(root, 0)
        except RecursionError as error:
            raise UnsafeModel("the schema is nested too deeply") from error
        extra = sorted(set(self._members) - self._used)
        if extra:
            raise UnsafeModel(f"the model file holds members that nothing refers to: {extra[:5]}")

    def _node(self, state: Any, depth: int, *expected: str) -> None:
        """Check one node and all below it; `expected` limits the kinds of node that may stand here."""
        self._n_nodes += 1
        if depth > MAX_DEPTH or self._n_nodes > MAX_NODES:
            raise UnsafeModel(f"the schema has more than {MAX_NODES} nodes, or is nested more than {MAX_DEPTH} deep")
        if not isinstance(state, dict):
            raise UnsafeModel(f"the schema holds {state!r:.80} where a node is expected")
        loader, name = self._kind(state)
        if expected and loader not in expected:
            raise UnsafeModel(f"the schema holds a {loader} ({name}) where one of {list(expected)} is expected")
        number = state.get("__id__")
        if number is not None:
            if type(number) is not int:
                raise UnsafeModel(f"an object's id is {number!r:.80}; expected a whole number")
            if number in self._seen:
                if self._seen[number] != state:
                    raise UnsafeModel(f"two different objects share the id {number}")
                return
            self._seen[number] = state
        self._READERS[loader](self, state, depth + 1)

    def _kind(self, state: dict[str, Any]) -> tuple[str, str]:
        loader, module, name = state.get("__loader__"), state.get("__module__"), state.get("__class__")
        if not (isinstance(loader, str) and isinstance(module, str) and isinstance(name, str)):
            raise UnsafeModel("the schema holds a node without loader, module and class")
        full = self._allowed(loader, module, name, tuple(state))
        self.names.add(full)
        return loader, full

    @classmethod
    @functools.lru_cache(4096)
    def _allowed(cls, loader: str, module: str, name: str, keys: tuple[str, ...]) -> str:
        """Return the full name of what a node of these fields names."""
        full = f"{module}.{name}"
        if loader not in cls._FIELDS:
            raise UnsafeModel(f"{full} (as {loader}) is not on the allow-list of the safe model format")
        if full not in cls._CLASSES[loader] or "." in name:
            raise UnsafeModel(f"{full} is not on the allow-list of the safe model format (as {loader})")
        extra = set(keys) - cls._FIELDS[loader] - {"__loader__", "__module__", "__class__", "__id__"}
        if extra:
            raise UnsafeModel(f"{full} has unknown fields {sorted(extra)}")
        return full

    def _items(self, value: Any, depth: int, *expected: str) -> None:
        if not isinstance(value, list):
            raise UnsafeModel(f"the schema holds {value!r:.80} where a list is expected")
        for item in value:
            self._node(item, depth, *expected)

    def _fields(self, value: Any, *names: str) -> list[Any]:
        if not isinstance(value, dict) or set(value) != set(names):
            raise UnsafeModel(f"the schema holds {value!r:.80} where an object with {list(names)} is expected")
        return [value[name] for name in names]

    def _file(self, state: dict[str, Any], suffix: str) -> bytes:
        name = state.get("file")
        if not isinstance(name, str) or name not in self._members or not name.endswith(suffix):
            raise UnsafeModel(f"the schema refers to a member {name!r:.80} that the model file does not hold")
        self._used.add(name)
        return self._members[name]

    def _header(self, state: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
        """Return dtype and shape of an array that a member of the file holds."""
        if not isinstance(state, dict) or state.get("type") != "numpy":
            raise UnsafeModel(f"the schema holds {state!r:.80} where an array of numbers is expected")
        data, name = self._file(state, ".npy"), state["file"]
        if name not in self._headers:
            self._headers[name] = npy_header(data)
        return self._headers[name]

    def _scalar(self, state: Any) -> Any:
        """Return the value of a `JsonNode`: None, a boolean, a number or text."""
        if not isinstance(state, dict) or state.get("__loader__") != "JsonNode":
            raise UnsafeModel(f"the schema holds {state!r:.80} where a plain value is expected")
        content = state.get("content")
        try:
            value = json.loads(content) if isinstance(content, str) else ...
        except ValueError as error:
            raise UnsafeModel(f"a plain value cannot be read: {content!r:.80}") from error
        if not (value is None or isinstance(value, (bool, int, float, str))):
            raise UnsafeModel(f"the schema holds {content!r:.80} where a plain value is expected")
        return value

    def _json_node(self, state: Any, _: int) -> None:
        self._scalar(state)

    def _type_node(self, state: Any, depth: int) -> None:
        """Nothing below: the class was compared with the list."""

    _function_node = _type_node

    def _list_node(self, state: Any, depth: int) -> None:
        self._items(state.get("content"), depth)

    _set_node = _tuple_node = _list_node

    def _dict_node(self, state: Any, depth: int) -> None:
        content, types = state.get("content"), state.get("key_types")
        self._node(types, depth, "ListNode")
        self._items(types["content"], depth, "TypeNode")
        if not isinstance(content, dict) or len(content) != len(types["content"]):
            raise UnsafeModel("a dict has another number of keys than of key types")
        for value in content.values():
            self._node(value, depth)

    def _object_node(self, state: Any, depth: int) -> None:
        content = state.get("content")
        kinds = _TUPLE_STATES.get(f"{state['__module__']}.{state['__class__']}")
        if kinds is not None:
            self._tuple_state(state, kinds, depth)
            return
        if content is None:
            return
        self._node(content, depth, "DictNode", "JsonNode")
        if content["__loader__"] == "JsonNode" and self._scalar(content) is not None:
            raise UnsafeModel(f"{state['__class__']} has a state that is no dict")

    def _tuple_state(self, state: dict[str, Any], kinds: list[str], depth: int) -> None:
        """Compiled code takes these items as they come: each has to be of its kind, and present."""
        content: Any = state.get("content")
        self._node(content, depth, "TupleNode")
        items = content["content"]
        found = [item["__loader__"] for item in items]
        if len(found) != len(kinds) or any(one not in kind.split() for one, kind in zip(found, kinds, strict=True)):
            raise UnsafeModel(f"{state['__class__']} has a state of other parts than its arrays and numbers")
        if "ObjectNode" in kinds and self._kind(items[kinds.index("ObjectNode")])[1] not in _METRICS:
            raise UnsafeModel(f"{state['__class__']} measures distances by something that is no metric")

    def _masked_array_node(self, state: Any, depth: int) -> None:
        for part in self._fields(state.get("content"), "data", "mask"):
            self._node(part, depth, "NdArrayNode")

    def _sparse_matrix_node(self, state: Any, _: int) -> None:
        """Look into the archive inside the archive: stored, of named arrays that are all there."""
        kind = _SPARSE[f"{state['__module__']}.{state['__class__']}"]
        if state.get("type") != "scipy":
            raise UnsafeModel(f"a sparse matrix is stored as {state.get('type')!r:.80}; expected 'scipy'")
        arrays = read_members(self._file(state, ".npz"), _SPARSE_MEMBER)
        names = {name.removesuffix(".npy") for name in arrays}
        is_array = {"_is_array"} if state["__class__"].endswith("_array") else set()
        if names != _SPARSE_PARTS[kind] | is_array:
            raise UnsafeModel(f"a {state['__class__']} is made of {sorted(names)}")
        for data in arrays.values():
            npy_header(data)
        written = np.load(io.BytesIO(arrays["format.npy"]), allow_pickle=False)
        if written.shape or written.item() not in (kind, kind.encode()):
            raise UnsafeModel(f"a {state['__class__']} claims the format {written!s:.80}")

    def _partial_node(self, state: Any, depth: int) -> None:
        func, args, kwds, namespace = self._fields(state.get("content"), "func", "args", "kwds", "namespace")
        self._node(func, depth, "FunctionNode")
        if not func["__module__"].startswith("sklearn."):
            raise UnsafeModel(f"functools.partial around {func['__module__']}.{func['__class__']} is not on the list")
        self._node(args, depth, "TupleNode")
        self._node(kwds, depth, "DictNode")
        self._node(namespace, depth, "DictNode", "JsonNode")

    def _slice_node(self, state: Any, _: int) -> None:
        for part in self._fields(state.get("content"), "start", "stop", "step"):
            if not (part is None or isinstance(part, (int, str))):
                raise UnsafeModel(f"a slice holds {part!r:.80}; expected a whole number or a column's name")

    def _dtype_node(self, state: Any, depth: int) -> None:
        self._node(state.get("content"), depth, "NdArrayNode")

    def _ndarray_node(self, state: Any, depth: int) -> None:
        if state.get("type") == "numpy":
            dtype, shape = self._header(state)
            if state["__class__"] != "ndarray" and (shape or dtype.names is not None):
                raise UnsafeModel(f"a {state['__class__']} holds an array of shape {shape}")
        elif state.get("type") == "json" and state["__class__"] == "ndarray":
            self._items(state.get("content"), depth)
            self._node(state.get("shape"), depth, "TupleNode")
            self._items(state["shape"]["content"], depth, "JsonNode")
        else:
            raise UnsafeModel(f"an array is stored as {state.get('type')!r:.80}; expected 'numpy' or 'json'")

    def _loss_node(self, state: Any, depth: int) -> None:
        (args,) = self._fields(state.get("__reduce__"), "args")
        self._node(args, depth, "TupleNode")
        self._items(args["content"], depth, "JsonNode")
        content = state.get("content")
        self._node(content, depth, "DictNode", "TupleNode")
        if content["content"]:
            raise UnsafeModel(f"the loss {state['__class__']} brings a state of its own")

    def _tree_node(self, state: Any, depth: int) -> None:
        """Its constructor reads `n_outputs` numbers whatever the array's length; its state, the length of any array."""
        (args,) = self._fields(state.get("__reduce__"), "args")
        self._node(args, depth, "TupleNode")
        self._items(args["content"], depth, "JsonNode", "NdArrayNode")
        self._node(state.get("content"), depth, "DictNode")
        if [item["__loader__"] for item in args["content"]] != ["JsonNode", "NdArrayNode", "JsonNode"]:
            raise UnsafeModel("a tree has other arguments than n_features, n_classes, n_outputs")
        _, classes, outputs = args["content"]
        n_outputs = self._scalar(outputs)
        if type(n_outputs) is not int or n_outputs < 1 or classes.get("type") != "numpy":
            raise UnsafeModel(f"a tree has n_outputs={n_outputs!r:.80}")
        dtype, shape = self._header(classes)
        if dtype.kind != "i" or shape != (n_outputs,):
            raise UnsafeModel(f"a tree has {n_outputs} outputs, and numbers of classes of shape {shape} and {dtype}")
        (_, nodes), (_, values) = (self._header(state["content"]["content"].get(name)) for name in ("nodes", "values"))
        if len(nodes) != 1 or len(values) != 3 or values[:2] != (*nodes, n_outputs):
            raise UnsafeModel(f"a tree has nodes of shape {nodes} and values of shape {values}")

    def _random_state_node(self, state: Any, depth: int) -> None:
        """MT19937 trusts its position: beyond the key it would read other memory."""
        content = state.get("content")
        self._node(content, depth, "DictNode")
        inner = content["content"].get("state")
        self._node(inner, depth, "DictNode")
        position = self._scalar(inner["content"].get("pos"))
        if self._scalar(content["content"].get("bit_generator")) != "MT19937":
            raise UnsafeModel("a RandomState has another bit generator than MT19937")
        if type(position) is not int or not 0 <= position <= 624:
            raise UnsafeModel(f"a RandomState has the position {position!r:.80}; expected 0 to 624")

    def _random_generator_node(self, state: Any, depth: int) -> None:
        bits, seed = self._fields(state.get("content"), "bit_generator", "seed_seq")
        self._node(bits, depth, "DictNode")
        self._node(seed, depth, "DictNode")
        if self._scalar(bits["content"].get("bit_generator")) != "PCG64":
            raise UnsafeModel("a random Generator has another bit generator than PCG64")
        if self._scalar(seed["content"].get("pool_size")) != 4:
            raise UnsafeModel("a random Generator's seed has another pool size than 4")

    _READERS: ClassVar[dict[str, Callable[[Audit, Any, int], None]]] = {
        "DTypeNode": _dtype_node,
        "DictNode": _dict_node,
        "FunctionNode": _function_node,
        "JsonNode": _json_node,
        "ListNode": _list_node,
        "LossNode": _loss_node,
        "MaskedArrayNode": _masked_array_node,
        "NdArrayNode": _ndarray_node,
        "ObjectNode": _object_node,
        "PartialNode": _partial_node,
        "RandomGeneratorNode": _random_generator_node,
        "RandomStateNode": _random_state_node,
        "SetNode": _set_node,
        "SliceNode": _slice_node,
        "SparseMatrixNode": _sparse_matrix_node,
        "TreeNode": _tree_node,
        "TupleNode": _tuple_node,
        "TypeNode": _type_node,
    }
