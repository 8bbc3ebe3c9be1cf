"""Which values of a metric are best: as a task's goal states it (`min:loss`), or by the metric's name. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestra.domain.errors import BadInput
from orchestra.domain.flat_values import NAME_AT_MOST
from orchestra.domain.human import one_line
from orchestra.domain.storable import check_text
from orchestra.domain.wording import Field, Sentence, words

DIRECTIONS = {"min": False, "max": True}
"""Whether the highest value is best, by the word for it."""

_HIGHEST = frozenset(
    {
        "accuracy", "acc", "auc", "auroc", "auprc", "f1", "score", "precision", "recall", "r2", "iou", "dice", "psnr",
        "ssim", "bleu", "rouge", "reward", "efficiency", "purity", "sensitivity", "specificity", "significance",
    }
)  # fmt: skip
_LOWEST = frozenset(
    {
        "loss", "error", "err", "mse", "rmse", "mae", "mape", "nll", "perplexity", "ppl", "wer", "cer", "chi2", "fid",
        "regret", "residual", "deviance",
    }
)  # fmt: skip
_ALWAYS_LOWEST = re.compile(r".*(loss|losses|error|errors)")
"""Words that decide at any place of a name: loss_dice is a loss, not a dice score."""
_NO_GOAL = frozenset({"std", "stderr", "var", "variance", "sigma", "uncertainty"})
_OF_TRAINING = frozenset({"train", "training"})


@dataclass(frozen=True, slots=True)
class StatedGoal:
    """The metric that decides which job is best, by name, and whether its highest or its lowest value is best."""

    metric: str
    highest: bool

    @property
    def keys(self) -> tuple[str, ...]:
        """The names that the metric can have in its file: `metrics.loss` is `loss`, as in columns."""
        return tuple(dict.fromkeys((self.metric, self.metric.removeprefix("metrics."))))

    def __str__(self) -> str:
        return f"{word_for(highest=self.highest)}:{self.metric}"


def word_for(*, highest: bool) -> str:
    """Return "max" or "min"."""
    return "max" if highest else "min"


def parse_goal(text: str) -> StatedGoal:
    """Parse a goal.

    Raises:
        BadInput: it names no metric, or does not say which value is best; the hint shows what could be meant.
    """
    word, _, metric = (part.strip() for part in text.partition(":"))
    highest = DIRECTIONS.get(word)
    if highest is None:
        raise BadInput(
            f"the goal {_quoted(text)} does not say whether the lowest or the highest value is best.",
            hint=_likely(word, metric, text.strip()),
        )
    if not metric:
        raise BadInput(
            f"the goal {_quoted(text)} names no metric.",
            hint=words("For example ", Field.GOAL(f"{word}:loss")),
        )
    check_text("the goal", metric)
    if len(metric) > NAME_AT_MOST or not metric.isprintable():
        raise BadInput(
            f"the goal {_quoted(text)} does not name a metric.",
            hint=f"A name has up to {NAME_AT_MOST} printable characters.",
        )
    return StatedGoal(metric, highest)


def _quoted(text: str) -> str:
    return f'"{one_line(text, 60)}"'


def _likely(word: str, metric: str, text: str) -> Sentence:
    """Return the goals that a text could mean: `loss`, `maximize:loss`, `val:loss`."""
    found = re.match("min|max|low|high", word.lower())
    if found and metric:
        likely: bool | None = found[0] in ("max", "high")
    else:
        metric = text or "loss"
        likely = direction(metric)
    metric = one_line(metric, 60)
    meant = [
        Field.GOAL(f"{each}:{metric}")
        for each, highest in DIRECTIONS.items()
        if likely in (None, highest)
    ]
    return words(meant[0]) if len(meant) == 1 else words(meant[0], " or ", meant[1])


def direction(name: str) -> bool | None:
    """Whether the highest (True) or lowest (False) value of a metric with that name is best; None if unknown.

    `loss` and `error` mean the lowest at any place of the name; of other words the last one counts. Names that start
    with `neg`, like scikit-learn's neg_mean_squared_error, have an inverted sign and are not judged.
    """
    parts = _parts(name)
    if _NO_GOAL & set(parts) or parts[:1] == ["neg"]:
        return None
    if any(map(_ALWAYS_LOWEST.fullmatch, parts)):
        return False
    known = [part in _HIGHEST for part in parts if part in _HIGHEST | _LOWEST]
    return known[-1] if known else None


def is_of_training(name: str) -> bool:
    """Whether a metric's name says that it was measured in the training."""
    return bool(_OF_TRAINING & set(_parts(name)))


def _parts(name: str) -> list[str]:
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return re.findall(r"[a-z0-9]+", apart.lower())
