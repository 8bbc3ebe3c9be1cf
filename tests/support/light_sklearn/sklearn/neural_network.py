"""A network with one hidden layer, trained with Adam."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np

EPOCH_SECONDS = 0.05
"""What an epoch takes at least: trainings that are over too soon cannot be watched."""
BATCH = 200


class MLPClassifier:
    """Like scikit-learn's, as far as the demo uses it."""

    def __init__(
        self, hidden_layer_sizes: tuple[int], learning_rate_init: float, random_state: int
    ) -> None:
        self._hidden, self._rate = hidden_layer_sizes[0], learning_rate_init
        self._dice = np.random.default_rng(random_state)
        self._weights: list[Any] = []
        self._means: list[Any] = []
        self._squares: list[Any] = []
        self._step = 0
        self.loss_ = 0.0

    @property
    def coefs_(self) -> list[Any]:
        return self._weights[:2]

    @property
    def intercepts_(self) -> list[Any]:
        return self._weights[2:]

    def partial_fit(self, x: Any, y: Any, classes: Iterable[int]) -> None:
        """Train for one epoch."""
        ends = time.monotonic() + EPOCH_SECONDS
        if not self._weights:
            self._begin(x.shape[1], len(list(classes)))
        order, losses = self._dice.permutation(len(x)), []
        for begin in range(0, len(x), BATCH):
            chosen = order[begin : begin + BATCH]
            losses.append(self._learn(x[chosen], y[chosen]))
        self.loss_ = float(np.mean(losses))
        time.sleep(max(0.0, ends - time.monotonic()))

    def score(self, x: Any, y: Any) -> float:
        """Return the share of digits that are recognised."""
        return float(np.mean(self._forward(x)[1].argmax(axis=1) == y))

    def _begin(self, inputs: int, outputs: int) -> None:
        for one, other in ((inputs, self._hidden), (self._hidden, outputs)):
            bound = (6 / (one + other)) ** 0.5
            self._weights.append(self._dice.uniform(-bound, bound, (one, other)))
        self._weights += [np.zeros(self._hidden), np.zeros(outputs)]
        self._means = [np.zeros_like(each) for each in self._weights]
        self._squares = [np.zeros_like(each) for each in self._weights]

    def _forward(self, x: Any) -> tuple[Any, Any]:
        first, second, first_bias, second_bias = self._weights
        hidden = np.maximum(x @ first + first_bias, 0)
        scores = hidden @ second + second_bias
        exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
        return hidden, exponents / exponents.sum(axis=1, keepdims=True)

    def _learn(self, x: Any, y: Any) -> float:
        hidden, chances = self._forward(x)
        rows = np.arange(len(y))
        loss = -np.log(chances[rows, y] + 1e-12).mean()
        error = chances.copy()
        error[rows, y] -= 1
        error /= len(y)
        back = (error @ self._weights[1].T) * (hidden > 0)
        self._adam((x.T @ back, hidden.T @ error, back.sum(axis=0), error.sum(axis=0)))
        return float(loss)

    def _adam(self, gradients: tuple[Any, ...]) -> None:
        """Take a step of Kingma and Ba, Adam (2015), with its default decays."""
        self._step += 1
        for at, gradient in enumerate(gradients):
            self._means[at] += 0.1 * (gradient - self._means[at])
            self._squares[at] += 0.001 * (gradient**2 - self._squares[at])
            mean = self._means[at] / (1 - 0.9**self._step)
            square = self._squares[at] / (1 - 0.999**self._step)
            self._weights[at] -= self._rate * mean / (square**0.5 + 1e-8)
