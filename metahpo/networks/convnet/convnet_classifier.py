"""The classifier of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from metahpo.networks.convnet.pixel_scaling import PixelScaler
from metahpo.networks.single.network_classifier import ModuleClassifier
from metahpo.tasks.images import as_images

if TYPE_CHECKING:
    from metahpo.networks.convnet.residual_network import ResidualNetwork
    from metahpo.networks.single.single_training import Augment

POOLINGS = ("max", "average", "stride")


class ConvNetClassifier(ModuleClassifier):
    """Small residual network for images of one shape, trained on smoothed cross-entropy.

    X is an array n x h x w, n x h x w x c, or n x pixels (rows of an image one after the other, its channels last).
    Channels are standardised; a missing pixel counts as the mean.

    Parameters
    ----------
    width : int, default=16
        Channels of the first stage; each stage has twice those of the one before.
    stages, blocks : int, default=3, 1
        Stages of halving resolution, as far as images are large enough (4 pixels), and residual blocks of each.
    kernel_size : int, default=3
    pooling : {"max", "average", "stride"}, default="max"
        How resolution halves.
    dropout : float in [0, 1), default=0.1
        Before the last layer.
    augmentation : float, default=0.5
        Strength of random rotations, scalings, shears and shifts; 0 is none.
    flip : bool, default=False
        Mirror images half of the time: not for digits and letters.
    optimiser : {"sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"}, default="adamw"
    learning_rate : float, default=5e-3
        Peak of the schedule.
    momentum : float in [0, 1), default=0.9
        For "momentum" and "nesterov".
    weight_decay : float, default=0.05
    batch_size : int, default=32
    schedule : {"constant", "cosine", "step", "one_cycle"}, default="one_cycle"
    label_smoothing : float in [0, 1), default=0.05
    epochs : int, default=20
    early_stopping : bool, default=False
        Hold rows out, keep the weights of the epoch with the lowest loss on them, and stop when it no longer falls.
    patience : int, default=10
    validation_fraction : float in (0, 1), default=0.1
    class_weight : "balanced", dict or None, default=None
    image_shape : sequence of int, default=None
        (height, width) or (height, width, channels) of flattened images; None: square.
    device : str, default="cpu"
        "cpu", "cuda", "cuda:N", or "auto": a GPU where there is one.
    random_state : int, RandomState or None, default=None

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> model = ConvNetClassifier(width=8, stages=2, epochs=10, random_state=0).fit(X[:400], y[:400])
    >>> model.score(X[400:], y[400:]) > 0.8
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **ModuleClassifier._parameter_constraints,
        "width": [Interval(Integral, 1, None, closed="left")],
        "stages": [Interval(Integral, 1, None, closed="left")],
        "blocks": [Interval(Integral, 1, None, closed="left")],
        "kernel_size": [Interval(Integral, 1, None, closed="left")],
        "pooling": [StrOptions(set(POOLINGS))],
        "dropout": [Interval(Real, 0.0, 1.0, closed="left")],
        "augmentation": [Interval(Real, 0.0, None, closed="left")],
        "flip": ["boolean"],
        "image_shape": ["array-like", None],
    }

    def __init__(
        self,
        *,
        width: int = 16,
        stages: int = 3,
        blocks: int = 1,
        kernel_size: int = 3,
        pooling: str = "max",
        dropout: float = 0.1,
        augmentation: float = 0.5,
        flip: bool = False,
        optimiser: str = "adamw",
        learning_rate: float = 5e-3,
        momentum: float = 0.9,
        weight_decay: float = 0.05,
        batch_size: int = 32,
        schedule: str = "one_cycle",
        label_smoothing: float = 0.05,
        epochs: int = 20,
        early_stopping: bool = False,
        patience: int = 10,
        validation_fraction: float = 0.1,
        class_weight: Literal["balanced"] | Mapping[Any, float] | None = None,
        image_shape: Sequence[int] | None = None,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.width = width
        self.stages = stages
        self.blocks = blocks
        self.kernel_size = kernel_size
        self.pooling = pooling
        self.dropout = dropout
        self.augmentation = augmentation
        self.flip = flip
        self.optimiser = optimiser
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.schedule = schedule
        self.label_smoothing = label_smoothing
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.class_weight = class_weight
        self.image_shape = image_shape
        self.device = device
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        """Images of n x h x w; as rows of pixels they must be of the right number of columns."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _learn_inputs(self, X: Any) -> list[NDArray[Any]]:
        images = as_images(X, self.image_shape)
        self._scaler = PixelScaler().fit(images)
        return [self._scaler.transform(images)]

    def _inputs(self, X: Any) -> list[NDArray[Any]]:
        return [self._scaler.transform(as_images(X, self.image_shape))]

    def _module(self, n_classes: int) -> ResidualNetwork:
        from metahpo.networks.convnet.residual_network import ResidualNetwork

        channels, height, width = self._scaler.shape
        return ResidualNetwork(
            channels,
            min(height, width),
            n_classes,
            self.width,
            self.stages,
            self.blocks,
            self.kernel_size,
            self.pooling,
            self.dropout,
        )

    def _augment(self) -> Augment | None:
        from metahpo.networks.convnet.residual_network import augmentation

        return augmentation(self.augmentation, self.flip)
