"""Fitted scikit-learn models of every kind that the safe format holds, each with the rows it was fitted on."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.covariance import EllipticEnvelope, EmpiricalCovariance, GraphicalLasso, LedoitWolf, MinCovDet
from sklearn.cross_decomposition import CCA, PLSRegression
from sklearn.decomposition import (
    NMF,
    PCA,
    FactorAnalysis,
    FastICA,
    IncrementalPCA,
    KernelPCA,
    LatentDirichletAllocation,
    MiniBatchNMF,
    TruncatedSVD,
)
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    RandomTreesEmbedding,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import (
    RFE,
    RFECV,
    SelectFdr,
    SelectFromModel,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
    f_regression,
)
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, Matern, RationalQuadratic, WhiteKernel
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.impute._iterative import IterativeImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.kernel_approximation import AdditiveChi2Sampler, Nystroem, PolynomialCountSketch, RBFSampler
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    ARDRegression,
    BayesianRidge,
    ElasticNet,
    ElasticNetCV,
    GammaRegressor,
    HuberRegressor,
    Lars,
    LarsCV,
    Lasso,
    LassoCV,
    LassoLars,
    LassoLarsIC,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    MultiTaskLasso,
    OrthogonalMatchingPursuit,
    Perceptron,
    PoissonRegressor,
    QuantileRegressor,
    RANSACRegressor,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
    SGDClassifier,
    SGDOneClassSVM,
    SGDRegressor,
    TheilSenRegressor,
    TweedieRegressor,
)
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor, RegressorChain
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import (
    KernelDensity,
    KNeighborsClassifier,
    KNeighborsRegressor,
    KNeighborsTransformer,
    LocalOutlierFactor,
    NearestCentroid,
    NearestNeighbors,
    NeighborhoodComponentsAnalysis,
    RadiusNeighborsClassifier,
    RadiusNeighborsRegressor,
    RadiusNeighborsTransformer,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR, NuSVC, NuSVR, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier

RNG = np.random.default_rng(0)
N = 200
X = RNG.normal(size=(N, 4))
POSITIVE = np.abs(X) + 0.1
TWO = (X[:, 0] + RNG.normal(size=N) > 0).astype(int)
THREE = np.array(["a", "b", "c"])[RNG.integers(0, 3, N)]
NUMBER = X[:, 0] * 2 + RNG.normal(size=N)
COUNT = RNG.poisson(2.0, N) + 1
SPARSE = sp.csr_matrix(np.where(np.abs(X) > 0.8, X, 0.0))
WORDS = [f"{a} {b} milk" for a in ("apple", "pear", "bread", "cheese") for b in ("wine", "tea")] * (N // 8)
DICTS = [{"n": float(i % 7), "t": "ab"[i % 2]} for i in range(N)]
HOLES = np.where(RNG.random(X.shape) < 0.1, np.nan, X)
FRAME = pd.DataFrame(
    {
        "x": X[:, 0],
        "holes": HOLES[:, 1],
        "text": RNG.choice(["u", "v", "w", "rare"], N, p=[0.4, 0.3, 0.28, 0.02]),
        "level": pd.Categorical(RNG.choice(["p", "q", None], N)),
    }
)


def columns() -> ColumnTransformer:
    """The usual preparation of a mixed frame."""
    return ColumnTransformer(
        [
            ("number", make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["x", "holes"]),
            ("level", OrdinalEncoder(encoded_missing_value=-1), ["level"]),
            ("text", OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10), ["text"]),
            ("function", FunctionTransformer(np.abs), ["x"]),
        ]
    )


MODELS: dict[str, tuple[Any, Any, Any]] = {
    "adaboost": (AdaBoostClassifier(n_estimators=3, random_state=0), X, THREE),
    "bagging": (BaggingClassifier(n_estimators=3, max_features=2, random_state=0), X, TWO),
    "bagging regressor": (BaggingRegressor(Ridge(), n_estimators=3, random_state=0), X, NUMBER),
    "bayesian ridge": (BayesianRidge(), X, NUMBER),
    "bernoulli": (BernoulliNB(), X, TWO),
    "calibrated isotonic": (CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=2), X, TWO),
    "calibrated sigmoid": (CalibratedClassifierCV(LinearSVC(random_state=0), cv=2), X, THREE),
    "calibrated temperature": (CalibratedClassifierCV(GaussianNB(), method="temperature", cv=2), X, THREE),
    "categorical": (CategoricalNB(), POSITIVE.astype(int), TWO),
    "chain": (ClassifierChain(LogisticRegression()), X, np.c_[TWO, 1 - TWO]),
    "complement": (ComplementNB(), POSITIVE, THREE),
    "decision tree": (DecisionTreeClassifier(random_state=0), HOLES, THREE),
    "decision tree of two targets": (DecisionTreeRegressor(max_leaf_nodes=9), X, np.c_[NUMBER, X[:, 1]]),
    "dummy": (DummyClassifier(), X, THREE),
    "dummy regressor": (DummyRegressor(), X, NUMBER),
    "elastic net": (ElasticNetCV(cv=3), X, NUMBER),
    "extra trees": (ExtraTreesRegressor(3, random_state=0), X, NUMBER),
    "forest": (RandomForestClassifier(3, random_state=0), X, THREE),
    "forest of a random state": (RandomForestClassifier(3, random_state=np.random.RandomState(3)), X, TWO),
    "forest regressor": (RandomForestRegressor(3, random_state=0, oob_score=False), HOLES, NUMBER),
    "frozen": (FrozenEstimator(LogisticRegression().fit(X, TWO)), X, TWO),
    "gamma": (GammaRegressor(), X, COUNT),
    "gradient boosting": (GradientBoostingClassifier(n_estimators=3, random_state=0), X, THREE),
    "gradient boosting of two": (GradientBoostingClassifier(n_estimators=3, random_state=0), X, TWO),
    "gradient boosting regressor": (GradientBoostingRegressor(loss="huber", n_estimators=3), X, NUMBER),
    "gradient boosting from zero": (GradientBoostingRegressor(init="zero", n_estimators=3), X, NUMBER),
    "gradient boosting from ridge": (GradientBoostingRegressor(init=Ridge(), n_estimators=3), X, NUMBER),
    "hist": (HistGradientBoostingClassifier(max_iter=3, random_state=0), HOLES, TWO),
    "hist of three": (HistGradientBoostingClassifier(max_iter=3, random_state=0), X, THREE),
    "hist categorical": (
        HistGradientBoostingClassifier(max_iter=3, categorical_features=["text", "level"], random_state=0),
        FRAME.astype({"text": "category"}),
        TWO,
    ),
    "hist of categories only": (
        HistGradientBoostingRegressor(max_iter=3, categorical_features="from_dtype", random_state=0),
        FRAME[["level"]],
        NUMBER,
    ),
    "hist in a pipeline": (
        make_pipeline(columns(), HistGradientBoostingClassifier(max_iter=3, random_state=0)),
        FRAME,
        TWO,
    ),
    "hist categorical in a pipeline": (
        make_pipeline(
            ColumnTransformer(
                [
                    (
                        "level",
                        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
                        ["text", "level"],
                    )
                ],
                remainder="passthrough",
            ),
            HistGradientBoostingClassifier(max_iter=3, categorical_features=[0, 1], random_state=0),
        ),
        FRAME,
        TWO,
    ),
    "hist poisson": (HistGradientBoostingRegressor(loss="poisson", max_iter=3, random_state=0), X, COUNT),
    "hist quantile": (
        HistGradientBoostingRegressor(loss="quantile", quantile=0.9, max_iter=3, random_state=0),
        X,
        NUMBER,
    ),
    "hist stopped early": (HistGradientBoostingRegressor(early_stopping=True, max_iter=3, random_state=0), X, NUMBER),
    "huber": (HuberRegressor(), X, NUMBER),
    "isotonic": (IsotonicRegression(out_of_bounds="clip"), X[:, 0], NUMBER),
    "lars": (Lars(), X, NUMBER),
    "lasso": (LassoCV(cv=3), X, NUMBER),
    "lda": (LinearDiscriminantAnalysis(), X, THREE),
    "linear": (LinearRegression(), X, NUMBER),
    "linear svc": (LinearSVC(random_state=0), X, THREE),
    "linear svr": (LinearSVR(random_state=0), X, NUMBER),
    "logistic": (LogisticRegression(class_weight={0: 1.0, 1: 2.0}), X, TWO),
    "mixed frame": (make_pipeline(columns(), LogisticRegression()), FRAME, THREE),
    "mlp": (MLPClassifier(hidden_layer_sizes=(3,), max_iter=900, random_state=0, tol=0.01), X, THREE),
    "mlp regressor": (
        MLPRegressor(hidden_layer_sizes=(3,), solver="sgd", max_iter=900, random_state=0, tol=0.01),
        X,
        NUMBER,
    ),
    "multi output": (MultiOutputRegressor(Ridge()), X, X[:, :2]),
    "multinomial": (MultinomialNB(), POSITIVE, THREE),
    "one against one": (OneVsOneClassifier(LogisticRegression()), X, THREE),
    "one against the rest": (OneVsRestClassifier(LogisticRegression()), X, THREE),
    "perceptron": (Perceptron(random_state=0), X, TWO),
    "poisson": (PoissonRegressor(), X, COUNT),
    "qda": (QuadraticDiscriminantAnalysis(), X, THREE),
    "quantile": (QuantileRegressor(), X, NUMBER),
    "rfe": (RFE(LogisticRegression()), X, TWO),
    "ridge": (RidgeCV(), X, NUMBER),
    "ridge classifier": (RidgeClassifier(), X, THREE),
    "scalers": (
        make_pipeline(
            FeatureUnion([("pca", PCA(2)), ("scale", MinMaxScaler())]),
            MaxAbsScaler(),
            RobustScaler(),
            PolynomialFeatures(),
            VarianceThreshold(),
            SelectKBest(k=5),
            Normalizer(),
            LogisticRegression(),
        ),
        X,
        TWO,
    ),
    "bins": (
        make_pipeline(KBinsDiscretizer(quantile_method="averaged_inverted_cdf"), TruncatedSVD(3), Binarizer(), Ridge()),
        X,
        NUMBER,
    ),
    "missing": (
        make_pipeline(FeatureUnion([("m", MissingIndicator()), ("i", SimpleImputer())]), Ridge()),
        HOLES,
        NUMBER,
    ),
    "select": (make_pipeline(SelectFromModel(Lasso(alpha=0.01)), Ridge()), X, NUMBER),
    "sgd": (SGDClassifier(loss="log_loss", random_state=0), X, TWO),
    "sgd regressor": (SGDRegressor(random_state=0), X, NUMBER),
    "stacking": (
        StackingClassifier([("l", LogisticRegression()), ("t", DecisionTreeClassifier(random_state=0))]),
        X,
        TWO,
    ),
    "target encoder": (make_pipeline(TargetEncoder(), Ridge()), FRAME[["text", "level"]], NUMBER),
    "target transformed": (TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1), X, COUNT),
    "theil sen": (TheilSenRegressor(random_state=0), X, NUMBER),
    "transformers": (
        make_pipeline(QuantileTransformer(n_quantiles=10), PowerTransformer(), LogisticRegression()),
        X,
        TWO,
    ),
    "tweedie": (TweedieRegressor(power=1.5), X, COUNT),
    "voting": (VotingClassifier([("l", LogisticRegression()), ("n", GaussianNB())], voting="soft"), X, THREE),
    "ada regressor": (AdaBoostRegressor(n_estimators=3, random_state=0), X, NUMBER),
    "ard": (ARDRegression(), X, NUMBER),
    "bayesian mixture": (BayesianGaussianMixture(n_components=2, random_state=0), X, None),
    "cca": (CCA(1), X, NUMBER),
    "chi2 sampler": (make_pipeline(AdditiveChi2Sampler(), Ridge()), POSITIVE, NUMBER),
    "count sketch": (PolynomialCountSketch(random_state=0), X, None),
    "count words": (
        make_pipeline(CountVectorizer(ngram_range=(1, 2), stop_words="english"), MultinomialNB()),
        WORDS,
        TWO,
    ),
    "covariance": (EmpiricalCovariance(), X, None),
    "dicts": (make_pipeline(DictVectorizer(), Ridge()), DICTS, NUMBER),
    "elastic": (ElasticNet(alpha=0.1), X, NUMBER),
    "elliptic": (EllipticEnvelope(random_state=0), X, None),
    "embedding": (RandomTreesEmbedding(3, random_state=0), X, None),
    "extra tree": (ExtraTreeClassifier(random_state=0), X, THREE),
    "extra trees classifier": (ExtraTreesClassifier(3, random_state=0), X, THREE),
    "factors": (FactorAnalysis(2), X, None),
    "fixed threshold": (FixedThresholdClassifier(LogisticRegression(), threshold=0.7), X, TWO),
    "gaussian process": (GaussianProcessRegressor(RBF() * ConstantKernel() + WhiteKernel()), X[:40], NUMBER[:40]),
    "gaussian process of kernels": (
        GaussianProcessRegressor(Matern() + DotProduct() ** 2 + RationalQuadratic(), optimizer=None, alpha=0.1),
        X[:40],
        NUMBER[:40],
    ),
    "gaussian process classifier": (GaussianProcessClassifier(), X[:40], THREE[:40]),
    "gaussian projection": (GaussianRandomProjection(2, random_state=0), X, None),
    "graphical lasso": (GraphicalLasso(), X, None),
    "hashed dicts": (make_pipeline(FeatureHasher(32), Ridge()), DICTS, NUMBER),
    "hashed words": (make_pipeline(HashingVectorizer(n_features=64), SGDClassifier(random_state=0)), WORDS, TWO),
    "ica": (FastICA(2, random_state=0), X, None),
    "incremental pca": (IncrementalPCA(2), X, None),
    "isolation forest": (IsolationForest(n_estimators=5, random_state=0), X, None),
    "isolation forest of columns": (IsolationForest(n_estimators=5, max_features=2, random_state=0), X, None),
    "iterative imputer": (make_pipeline(IterativeImputer(random_state=0), Ridge()), HOLES, NUMBER),
    "k means": (KMeans(3, n_init=2, random_state=0), X, None),
    "k means of batches": (MiniBatchKMeans(3, n_init=2, random_state=0), SPARSE, None),
    "kernel density": (KernelDensity(), X, None),
    "kernel pca": (KernelPCA(2, kernel="rbf"), X, None),
    "kernel ridge": (KernelRidge(kernel="rbf"), X, NUMBER),
    "knn imputer": (make_pipeline(KNNImputer(), Ridge()), HOLES, NUMBER),
    "lars cv": (LarsCV(cv=3), X, NUMBER),
    "lasso lars": (LassoLars(alpha=0.01), X, NUMBER),
    "lasso lars ic": (LassoLarsIC(), X, NUMBER),
    "ledoit wolf": (LedoitWolf(), X, None),
    "linear svc, sparse": (LinearSVC(random_state=0).fit(X, TWO).sparsify(), SPARSE, TWO),
    "local outliers": (LocalOutlierFactor(novelty=True), X, None),
    "logistic cv": (LogisticRegressionCV(Cs=2, cv=2, use_legacy_attributes=False), X, TWO),
    "min cov det": (MinCovDet(random_state=0), X, None),
    "mixture": (GaussianMixture(2, random_state=0), X, None),
    "multi output classifier": (MultiOutputClassifier(LogisticRegression()), X, np.c_[TWO, 1 - TWO]),
    "multi task lasso": (MultiTaskLasso(), X, X[:, :2]),
    "nearest centroid": (NearestCentroid(), X, THREE),
    "nearest neighbours": (NearestNeighbors(), X, None),
    "neighbours": (KNeighborsClassifier(), X, THREE),
    "neighbours by a ball tree": (
        KNeighborsRegressor(algorithm="ball_tree", leaf_size=3, weights="distance"),
        X,
        NUMBER,
    ),
    "neighbours by a kd tree": (KNeighborsClassifier(algorithm="kd_tree", leaf_size=3, metric="manhattan"), X, THREE),
    "neighbours by all": (KNeighborsClassifier(algorithm="brute"), X, THREE),
    "neighbours by weights": (
        KNeighborsClassifier(algorithm="ball_tree", metric="seuclidean", metric_params={"V": np.ones(4)}),
        X,
        THREE,
    ),
    "neighbours of places": (
        KNeighborsRegressor(algorithm="ball_tree", metric="haversine"),
        X[:, :2],
        NUMBER,
    ),
    "neighbours of two targets": (KNeighborsClassifier(), X, np.c_[TWO, 1 - TWO]),
    "neighbours, sparse": (KNeighborsClassifier(), SPARSE, THREE),
    "neighbours within": (RadiusNeighborsClassifier(radius=9.0), X, THREE),
    "neighbours within, regressor": (RadiusNeighborsRegressor(radius=9.0), X, NUMBER),
    "neighbour graph": (make_pipeline(KNeighborsTransformer(), KNeighborsClassifier(metric="precomputed")), X, TWO),
    "neighbour graph within": (RadiusNeighborsTransformer(radius=2.0), X, None),
    "neighbourhood components": (NeighborhoodComponentsAnalysis(2, max_iter=5, random_state=0), X, TWO),
    "nmf": (NMF(2, random_state=0, max_iter=500), POSITIVE, None),
    "nmf of batches": (MiniBatchNMF(2, random_state=0), POSITIVE, None),
    "nu svc": (NuSVC(), X, TWO),
    "nu svr": (NuSVR(), X, NUMBER),
    "nystroem": (make_pipeline(Nystroem(n_components=9, random_state=0), Ridge()), X, NUMBER),
    "omp": (OrthogonalMatchingPursuit(), X, NUMBER),
    "one class": (OneClassSVM(), X, None),
    "one class by sgd": (SGDOneClassSVM(random_state=0), X, None),
    "output codes": (OutputCodeClassifier(LogisticRegression(), random_state=0), X, THREE),
    "pls": (PLSRegression(2), X, NUMBER),
    "ransac": (RANSACRegressor(random_state=0), X, NUMBER),
    "rbf sampler": (make_pipeline(RBFSampler(random_state=0), Ridge()), X, NUMBER),
    "regressor chain": (RegressorChain(Ridge()), X, X[:, :2]),
    "rfecv": (RFECV(LogisticRegression(), cv=2), X, TWO),
    "ridge classifier cv": (RidgeClassifierCV(), X, THREE),
    "search": (GridSearchCV(SVC(), {"kernel": ["linear", "rbf"], "C": [0.5, 1.0]}, scoring="accuracy", cv=2), X, TWO),
    "search at random": (
        RandomizedSearchCV(
            make_pipeline(StandardScaler(), Ridge()),
            {"ridge__alpha": [0.1, 1.0]},
            n_iter=2,
            cv=KFold(2),
            random_state=0,
        ),
        X,
        NUMBER,
    ),
    "select by rate": (make_pipeline(SelectFdr(f_regression), Ridge()), X, NUMBER),
    "select by share": (make_pipeline(SelectPercentile(percentile=50), Ridge()), X, TWO),
    "select in turn": (SequentialFeatureSelector(Ridge(), cv=2, n_features_to_select=2), X, NUMBER),
    "self training": (SelfTrainingClassifier(LogisticRegression()), X, TWO),
    "sparse projection": (make_pipeline(SparseRandomProjection(3, random_state=0), Ridge()), X, NUMBER),
    "splines": (make_pipeline(SplineTransformer(), Ridge()), X, NUMBER),
    "splines, periodic and sparse": (
        make_pipeline(SplineTransformer(extrapolation="periodic", sparse_output=True, knots="quantile"), Ridge()),
        X,
        NUMBER,
    ),
    "stacking regressor": (StackingRegressor([("l", Ridge()), ("k", KNeighborsRegressor())]), X, NUMBER),
    "svc": (SVC(), X, THREE),
    "svc of its own kernel": (SVC(kernel="precomputed"), X @ X.T, TWO),
    "svc with probabilities": (CalibratedClassifierCV(SVC(kernel="poly"), cv=2, ensemble=False), X, THREE),
    "svc, sparse": (SVC(kernel="linear"), SPARSE, THREE),
    "svr": (SVR(), X, NUMBER),
    "tf-idf": (
        make_pipeline(TfidfVectorizer(min_df=2), TruncatedSVD(3, random_state=0), LogisticRegression()),
        WORDS,
        TWO,
    ),
    "tf-idf of counts": (make_pipeline(TfidfTransformer(sublinear_tf=False), SVC()), abs(SPARSE), TWO),
    "topics": (LatentDirichletAllocation(2, random_state=0), POSITIVE, None),
    "tuned threshold": (TunedThresholdClassifierCV(LogisticRegression(), cv=2), X, TWO),
    "voting regressor": (
        VotingRegressor([("l", Ridge()), ("k", KNeighborsRegressor(algorithm="ball_tree"))]),
        X,
        NUMBER,
    ),
}


@functools.cache
def fit_once(name: str) -> Any:
    model, features, target = MODELS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fits that end before they converge
        return copy.deepcopy(model).fit(features, target)


def fit(name: str) -> tuple[Any, Any]:
    """Return a copy of a fitted model, to be changed at will, and the rows it was fitted on."""
    return copy.deepcopy(fit_once(name)), MODELS[name][1]


METHODS = ("predict", "predict_proba", "decision_function", "transform", "score_samples", "kneighbors", "mahalanobis")


def outputs(model: Any, rows: Any) -> Iterator[tuple[str, Any]]:
    """Yield what each method of a model makes of rows, as dense arrays."""
    for method in METHODS:
        if hasattr(model, method):
            found = getattr(model, method)(rows)
            for part in found if isinstance(found, (list, tuple)) else [found]:
                yield method, part.toarray() if sp.issparse(part) else np.asarray(part)


def fresh(rows: Any) -> Any:
    """Return rows that no model has seen in memory, and half of them in another order."""
    if isinstance(rows, list):
        return [*rows[::2], *rows[::2]]
    half = rows.iloc[::2] if isinstance(rows, pd.DataFrame) else rows[::2]
    return half.copy()
