"""Which candidate to choose: by a smoothed prediction over all of them, never the best observed."""

import collections
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from mohb_jax.design.space import STATIC, TRACED, Point, Value
from mohb_jax.errors import InputError


def coded(points: Sequence[Point]) -> tuple[Float[np.ndarray, "points columns"], list[str]]:
    """Points as numbers, and the part that each column belongs to.

    Static parts are one column for each value that occurs; numbers are brought to [0, 1], and are in the
    middle where they are not active.
    """
    columns, names = [], []
    for name in STATIC:
        values = list(dict.fromkeys(point.get(name) for point in points))
        for value in values if len(values) > 1 else []:
            columns.append([float(point.get(name) == value) for point in points])
            names.append(name)
    for name, part in TRACED.items():
        own = [float(point[name]) if name in point else None for point in points]
        if len(set(own)) < 2:
            continue
        low, high = np.log([part.low, part.high]) if part.log else (part.low, part.high)
        shown = [0.5 if value is None else float((np.log(value) if part.log else value) - low) / (high - low)
                 for value in own]  # fmt: skip
        columns.append(shown)
        names.append(name)
    if not columns:
        raise InputError("all candidates are one: there is nothing to choose")
    return np.array(columns).T, names


def smoothed(
    points: Sequence[Point],
    means: Float[np.ndarray, " points"],
    variances: Float[np.ndarray, " points"],
    seed: int = 0,
) -> Float[np.ndarray, " points"]:
    """What a Gaussian process says of each point: a mean over what is alike, and less so the surer it is.

    Args:
        points: that were evaluated.
        means: of their responses.
        variances: of these means.
        seed: of the search for its hyperparameters.

    Raises:
        InputError: scikit-learn is not installed.

    Examples:
        The best observation of many noisy ones is not the best prediction; see ``tests/test_design.py``.
    """
    kernels, regressor = _library()
    features, _ = coded(points)
    centre, spread = means.mean(), max(float(means.std()), 1e-9)
    kernel = kernels.ConstantKernel(1.0, (1e-2, 1e2)) * kernels.Matern(
        np.ones(features.shape[1]), (0.1, 100.0), nu=2.5
    ) + kernels.WhiteKernel(1e-2, (1e-6, 1.0))
    model = regressor(kernel, alpha=variances / spread**2 + 1e-8, n_restarts_optimizer=1, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a lengthscale at its bound says that a part does nothing
        model.fit(features, (means - centre) / spread)
    # Without the nugget, which is noise: what is left is the smooth part.
    predicted = model.predict(features)
    return centre + spread * np.asarray(predicted)


def _filled(points: Sequence[Point]) -> list[Point]:
    usual: dict[str, Value] = {}
    for name in STATIC:
        counts = collections.Counter(point[name] for point in points if name in point)
        if counts:
            usual[name] = counts.most_common(1)[0][0]
    return [usual | point for point in points]


def _library() -> tuple[Any, Any]:
    try:
        from sklearn.gaussian_process import GaussianProcessRegressor, kernels
    except ImportError:
        raise InputError("mohb design needs scikit-learn: pip install 'mohb-jax[design]'") from None
    return kernels, GaussianProcessRegressor


def importance(
    points: Sequence[Point], means: Float[np.ndarray, " points"], seed: int = 0
) -> dict[str, float]:
    """How much worse a forest predicts the responses when a part is shuffled among the points, by part: in
    shares of the variance (permutation importance; Breiman 2001). All columns of a part are shuffled
    together. A part that is not active has its most frequent value: that it is missing would only repeat what
    the part says on which it depends."""
    try:
        from sklearn.ensemble import RandomForestRegressor
        from sklearn.inspection import permutation_importance
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer
    except ImportError:
        raise InputError("mohb design needs scikit-learn: pip install 'mohb-jax[design]'") from None
    features, names = coded(_filled(points))
    parts = list(dict.fromkeys(names))
    # One code for each part, which stands for all of its columns: these are put together before the forest.
    groups = [[place for place, name in enumerate(names) if name == part] for part in parts]
    codes = [np.unique(features[:, group], axis=0, return_inverse=True) for group in groups]
    index = np.stack([inverse.reshape(-1) for _, inverse in codes], axis=1)

    def spread_out(index: np.ndarray) -> np.ndarray:
        return np.concatenate([codes[k][0][index[:, k].astype(int)] for k in range(len(parts))], axis=1)

    forest = RandomForestRegressor(200, min_samples_leaf=2, random_state=seed)
    model = make_pipeline(FunctionTransformer(spread_out), forest).fit(index, means)
    found = permutation_importance(model, index, means, n_repeats=20, random_state=seed)
    return dict(
        sorted(zip(parts, map(float, found.importances_mean), strict=True), key=lambda item: -item[1])
    )
