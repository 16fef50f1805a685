"""Bayesian optimisation with a Gaussian process over architectures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.strategy import BatchStrategy, HistoryMemo, require_count, too_few_trials, unseen
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial, TrialState
from autopanoptic.strategies.bayesian.acquisition import Acquisition
from autopanoptic.strategies.bayesian.aims import Aim, aim_of
from autopanoptic.strategies.bayesian.climb import PARENTS, climb_batch
from autopanoptic.strategies.bayesian.gaussian_process import (
    Array,
    GaussianProcess,
    Hyperparameters,
    choice_of_columns,
    fit,
)
from autopanoptic.strategies.bayesian.targets import data_of
from autopanoptic.strategies.bayesian.threads import one_thread
from autopanoptic.strategies.bayesian.whole_space import WHOLE, WholeSpace

TRIALS = 500
FIT_TRIALS = 200
FIT_DISTANCES = 5_000_000
REFITS = 20


@dataclass(frozen=True)
class BayesianOptimization(BatchStrategy):
    """Models the trials by a Gaussian process, and tries what promises the largest improvement.

    The first ``initial`` trials are random. From then on:

    - Targets: the trials are ranked, and the ranks become normal scores, so that neither the scale of a metric nor a
      few bad trials matter. Trials that break a constraint rank below all others, by :meth:`History.violation`.
      Stopped trials, as those are that a schedule of budgets has paused, rank where they stood at their last report, by
      :func:`~autopanoptic.strategies.bayesian.targets.stood`; without one as the worst. Failed ones do not count.
    - Model: a Gaussian process with an :class:`~autopanoptic.strategies.bayesian.gaussian_process.OverlapKernel`.
      The relevance of each choice and the noise maximise the marginal likelihood times a prior. They are learned anew
      with each trial, from 40 trials on with every second, from 60 on with every third, and so on.
    - Acquisition: the expected improvement over the best posterior mean at a trial. Running trials count as
      if they had given the mean (Kriging believer), so that workers spread. So do, in a batch (``Search.ask(k)``), the
      architectures before; the model is learned once for all of them.
    - Candidates: all of a space of at most 50,000 architectures. In a larger space mutations of the ten best trials,
      random architectures, and a local search from both; see :func:`autopanoptic.strategies.bayesian.climb.climb`.
      Either way a constraint is only asked about those that come to be the best.
    - Many trials: of more than 500 the model takes the best half and a spread of the rest (a subset of data), of more
      than 200 (of 500 choices 141) the relevances are learned from such a part.

    With several objectives each proposal draws weights and ranks by their augmented Tchebycheff function (Knowles 2006,
    "ParEGO: a hybrid algorithm with on-line landscape approximation for expensive multiobjective optimization
    problems", section III), its weights uniform on the simplex. Of two, one of which is a cost that is known before an
    evaluation (``Search(costs=...)``, unless its attribute ``slow`` is true), the other is modelled alone; half of the
    proposals are after the expected improvement of the front's hypervolume and half after the modelled one. See
    :func:`~autopanoptic.strategies.bayesian.aims.aim_of`.

    Where choices have weights, expected improvement is multiplied by ``prior ** (beta / n)`` after n trials (Hvarfner
    et al. 2022, "piBO: augmenting acquisition functions with user beliefs for Bayesian optimization", equation 6). The
    prior is the product of the options' probabilities, each divided by the mean of its choice's, so that a choice
    without weights says nothing and a branch is not less likely for having many choices.

    Args:
        initial: random trials to begin with.
        candidates: mutations and random architectures with which the search of a large space begins.
        beta: how much the weights of options matter; 0 not at all.

    Raises:
        ValueError: for counts below 1 or a beta that is negative or not finite.
    """

    initial: int = 5
    candidates: int = 500
    beta: float = 10.0
    _fits: HistoryMemo[Hyperparameters] = field(default_factory=HistoryMemo, init=False, repr=False, compare=False)
    _wholes: HistoryMemo[WholeSpace] = field(default_factory=HistoryMemo, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._make_plain()
        require_count("BayesianOptimization", "initial", self.initial)
        require_count("BayesianOptimization", "candidates", self.candidates)
        if not isinstance(self.beta, (int, float)) or isinstance(self.beta, bool) or not 0 <= self.beta < np.inf:
            raise ValueError(f"BayesianOptimization needs beta to be a finite number from 0, not {self.beta!r}.")

    def advise(self, space: SearchSpace, trials: int) -> str | None:
        """Warn where no trial is proposed by the model."""
        return too_few_trials("BayesianOptimization", trials, self.initial, "Give a smaller initial=, or more trials.")

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        """Return the candidate of the largest expected improvement, at random while too few trials have ended."""
        if self._knows_nothing(space, history):
            return unseen(space, history, rng)
        with one_thread():
            aim = aim_of(space, history, rng)
            found = self._best(space, history, self.acquisition(space, history, aim), [rng])
        if found or space.has_at_most(WHOLE):
            return found[0] if found else None
        return unseen(space, history, rng)

    def propose_batch(
        self, space: SearchSpace, history: History, rngs: Sequence[np.random.Generator]
    ) -> list[Architecture]:
        """Return architectures each of which counts as pending for those behind it, from one model.

        The first is that of :meth:`propose`. With one objective those behind it cost a few more values of the
        acquisition each; with several they have aims of their own, but the relevances of the first.
        """
        if self._knows_nothing(space, history):
            return []
        with one_thread():
            return self._batch(space, history, rngs)

    def _batch(self, space: SearchSpace, history: History, rngs: Sequence[np.random.Generator]) -> list[Architecture]:
        if len(history.objectives) == 1:
            aim = aim_of(space, history, rngs[0])
            return self._best(space, history, self.acquisition(space, history, aim), rngs)
        found: list[Architecture] = []
        learned: Hyperparameters | None = None
        for rng in rngs:
            aim = aim_of(space, history, rng)
            acquisition = self.acquisition(space, history, aim, learned)
            learned = acquisition.process.hyperparameters
            pending = acquisition.believing(space.encode(found)) if found else acquisition
            found += self._best(space, history, pending, [rng], found)
        return found

    def _knows_nothing(self, space: SearchSpace, history: History) -> bool:
        return len(history) < self.initial or not history.n_completed or space.has_at_most(len(history))

    def _best(
        self,
        space: SearchSpace,
        history: History,
        acquisition: Acquisition,
        rngs: Sequence[np.random.Generator],
        pending: Sequence[Architecture] = (),
    ) -> list[Architecture]:
        """Return the untried architectures of the largest acquisition, one for each generator as far as there are."""
        if space.has_at_most(WHOLE):
            whole = self._wholes.get(history, space, lambda: WholeSpace(space))
            return whole.batch(history, acquisition, rngs, pending)
        parents = [trial.architecture for trial in history.ranked()[:PARENTS]]
        return climb_batch(space, history, acquisition, parents, rngs, self.candidates, pending)

    def acquisition(
        self, space: SearchSpace, history: History, aim: Aim, learned: Hyperparameters | None = None
    ) -> Acquisition:
        """Return what the next proposal maximises.

        At least one trial must have completed.

        Args:
            space: the search space.
            history: the trials; those that run count as if they had given the mean.
            aim: of the proposal.
            learned: hyperparameters to use; None to learn them.
        """
        observed = [t for t in history.finished if t.state in (TrialState.COMPLETED, TrialState.STOPPED)]
        if learned is None:
            learned = self._learn(space, history, observed, aim)
        encoded, targets = data_of(space, history, observed, aim.weights, TRIALS)
        process = GaussianProcess(learned, encoded, targets)
        running = space.encode(trial.architecture for trial in history.running)
        improvement = aim.improvement(space, history, process)
        return Acquisition(process.believing(running), improvement, log_prior(space) * (self.beta / len(observed)))

    def _learn(self, space: SearchSpace, history: History, observed: Sequence[Trial], aim: Aim) -> Hyperparameters:
        """Return the hyperparameters, kept from the last refit where one objective is modelled."""

        def learn(count: int) -> Hyperparameters:
            encoded, targets = data_of(space, history, observed[:count], aim.weights, fit_trials(len(space.choices)))
            return fit(encoded, targets, choice_of_columns(space))

        if aim.modelled > 1:
            return learn(len(observed))
        count = last_refit(len(observed))
        return self._fits.get(history, (space, count), lambda: learn(count))


def fit_trials(choices: int) -> int:
    """Return from how many trials the relevances of so many choices are learned: 200, fewer of over 250 choices.

    The distances of all pairs in all choices are 5 million numbers at most, 40 MB.
    """
    return min(FIT_TRIALS, math.isqrt(2 * FIT_DISTANCES // choices))


def last_refit(count: int) -> int:
    """Return after how many trials the hyperparameters in use after ``count`` trials were learned.

    They are learned anew about 20 times while the number of trials doubles.
    """
    return count - count % max(1, count // REFITS)


def log_prior(space: SearchSpace) -> Array:
    """Return, for each column of the encoding, the log probability of the option relative to its choice's mean."""
    return np.concatenate([np.log(np.array(choice.probabilities) * len(choice.options)) for choice in space.choices])
