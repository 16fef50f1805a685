"""What is searched, how, and for what."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from autopanoptic.panoptic.settings.checks import require_at_least, require_options

StrategyName: TypeAlias = Literal[
    "path-priority", "evolution", "regularized-evolution", "nsga2", "random", "local-search", "bayesian"
]
STRATEGIES: tuple[StrategyName, ...] = get_args(StrategyName)
OF_ONE_OBJECTIVE: tuple[StrategyName, ...] = ("path-priority", "local-search")
"""Strategies that cannot search with a cost as a second objective."""
Metric: TypeAlias = Literal["pq", "sq", "rq", "pq_things", "sq_things", "rq_things", "pq_stuff", "sq_stuff", "rq_stuff"]
METRICS: tuple[Metric, ...] = get_args(Metric)


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """What is searched, how, and for what.

    Attributes:
        space: ``"auto-panoptic"``, the published operators; ``"elastic"``, with widths and depths besides; or
            ``"published"``, with the components of published models as well.
        strategy: How to search. ``"nsga2"`` is for two objectives; ``"path-priority"`` and ``"local-search"`` for one.
            A config that leaves it out gets path-priority where there is no cost; else bayesian for at most 100 trials
            with GFLOPs, and nsga2 for more or with a latency.
        trials: Candidates to evaluate, at least 2.
        objective: Metric on nas_val to maximise.
        cost: What to minimise beside it: ``"gflops"`` or ``"latency_ms"``; None for the metric alone. A config that
            leaves it out gets GFLOPs in the spaces elastic and published, where the strategy takes two objectives.
        max_gflops: Most GFLOPs of the network that a candidate stands for, in the widths in which it is retrained, for
            one image of the size of nas_val's first; None for no limit.
        max_share: The same limit as a share of the GFLOPs of the network made by hand with the config's own widths and
            depths: what that network of the hand-made family costs that comes nearest. None for no limit; without a
            meaning where `max_gflops` is given, and where nothing is scaled, as in auto-panoptic.
        racing: Whether candidates that fall behind on the first images of nas_val are given up; None for where there is
            a cost and nas_val has enough batches to look at a candidate on the way.
        recalibration_batches: Training batches for each candidate's batch-norm statistics; 0 keeps those that the
            supernet gathered, which mix all paths.
        warm_start: File of another search whose candidates are measured first, by this run's supernet: a journal, a log
            or a result file of Auto-Panoptic's code, or an architecture; see `first_candidates`. None for none.
        finalists: How many of the search's best candidates (of those within the budget, where there is a cost) are
            trained like the networks that are compared, at least 1; the best of them on nas_val is what was searched.
            They differ in a tenth of their choices where there are such. With a cost one of several is the
            network made by hand.
        screened: How many of the best candidates are trained a little first, beginning as `Settings.init` says, at
            least `finalists`; the best of them on nas_val become finalists. 0 for none: their paths decide.
        screening_passes: Of such a training, at least 1.
        random_draws: Whether a run measures as many random draws beside the search, and trains the best of them too.
        hand_made: Whether a run trains the network made by hand beside what was searched.
    """

    space: Literal["auto-panoptic", "elastic", "published"] = "auto-panoptic"
    strategy: StrategyName = "path-priority"
    trials: int = 61
    objective: Metric = "pq"
    cost: Literal["gflops", "latency_ms"] | None = None
    max_gflops: float | None = None
    max_share: float | None = None
    racing: bool | None = None
    recalibration_batches: int = 8
    warm_start: str | None = None
    finalists: int = 1
    screened: int = 0
    screening_passes: int = 60
    random_draws: bool = True
    hand_made: bool = True

    @property
    def compared(self) -> tuple[str, ...]:
        """The networks that a run trains beside what was searched, by their names."""
        return ("random",) * self.random_draws + ("hand-made",) * self.hand_made

    def __post_init__(self) -> None:
        require_options(self)
        require_at_least(2, self, "trials")
        require_at_least(0, self, "recalibration_batches")
        require_at_least(1, self, "finalists", "screening_passes")
        require_at_least(0, self, "screened")
        if 0 < self.screened < self.finalists:
            raise ValueError(f"screened must be 0 or at least finalists, {self.finalists}, not {self.screened}")
        if self.warm_start is not None and not self.warm_start.strip():
            raise ValueError(f"warm_start must name a file, not {self.warm_start!r}")
        for name in ("max_gflops", "max_share"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive, not {value}; null is no limit")
        if self.strategy == "nsga2" and self.cost is None:
            raise ValueError("strategy nsga2 is for two objectives: set cost to gflops or latency_ms")
        if self.strategy == "path-priority" and self.racing:
            raise ValueError(
                "racing: strategy path-priority ranks every candidate, so none may be given up; set it to false"
            )
        if self.strategy in OF_ONE_OBJECTIVE and self.cost is not None:
            raise ValueError(
                f"strategy {self.strategy} takes one objective, but cost is {self.cost}: set cost to null, "
                "or take nsga2"
            )
