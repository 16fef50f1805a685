"""Neural architecture search: spaces, supernets, evaluators, and the search itself.

Names are loaded when they are first used, so that importing this package costs nothing: no torch, no NNI.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autopanoptic.nas.budgets.asha import ASHA as ASHA
    from autopanoptic.nas.budgets.hyperband import Bracket as Bracket
    from autopanoptic.nas.budgets.hyperband import Hyperband as Hyperband
    from autopanoptic.nas.budgets.schedule import FixedBudget as FixedBudget
    from autopanoptic.nas.budgets.schedule import Promotion as Promotion
    from autopanoptic.nas.budgets.schedule import Schedule as Schedule
    from autopanoptic.nas.callbacks.base import Callback as Callback
    from autopanoptic.nas.callbacks.base import SearchRun as SearchRun
    from autopanoptic.nas.callbacks.mlflow import MLflowCallback as MLflowCallback
    from autopanoptic.nas.callbacks.notebook import NotebookCallback as NotebookCallback
    from autopanoptic.nas.callbacks.table import TableCallback as TableCallback
    from autopanoptic.nas.callbacks.tensorboard import TensorBoardCallback as TensorBoardCallback
    from autopanoptic.nas.callbacks.wandb import WandbCallback as WandbCallback
    from autopanoptic.nas.costs.additive import AdditiveCost as AdditiveCost
    from autopanoptic.nas.costs.flops import FlopCount as FlopCount
    from autopanoptic.nas.costs.latency import Latency as Latency
    from autopanoptic.nas.costs.layers.latency_table import LatencyTable as LatencyTable
    from autopanoptic.nas.costs.layers.layer_costs import LayerCosts as LayerCosts
    from autopanoptic.nas.costs.parameters import ParameterCount as ParameterCount
    from autopanoptic.nas.evaluation.context import Context as Context
    from autopanoptic.nas.evaluation.evaluator import Evaluator as Evaluator
    from autopanoptic.nas.evaluation.evaluator import FunctionEvaluator as FunctionEvaluator
    from autopanoptic.nas.evaluation.evaluator import Report as Report
    from autopanoptic.nas.evaluation.evaluator import StopTrial as StopTrial
    from autopanoptic.nas.evaluation.evaluator import Unheard as Unheard
    from autopanoptic.nas.evaluation.supernet_evaluator import SupernetEvaluator as SupernetEvaluator
    from autopanoptic.nas.evaluation.training_evaluator import TrainingEvaluator as TrainingEvaluator
    from autopanoptic.nas.executors.base import Executor as Executor
    from autopanoptic.nas.executors.inline import InlineExecutor as InlineExecutor
    from autopanoptic.nas.executors.places import device_of_worker as device_of_worker
    from autopanoptic.nas.executors.processes import ProcessExecutor as ProcessExecutor
    from autopanoptic.nas.executors.ray.executor import RayExecutor as RayExecutor
    from autopanoptic.nas.results.optuna_export import export_optuna as export_optuna
    from autopanoptic.nas.results.optuna_follow import follow_optuna as follow_optuna
    from autopanoptic.nas.results.result import Result as Result
    from autopanoptic.nas.results.warm_start import warm_start as warm_start
    from autopanoptic.nas.search.errors import SearchError as SearchError
    from autopanoptic.nas.search.search import Search as Search
    from autopanoptic.nas.space.architecture import Architecture as Architecture
    from autopanoptic.nas.space.architecture import Option as Option
    from autopanoptic.nas.space.choice import Choice as Choice
    from autopanoptic.nas.space.constrained import InfeasibleError as InfeasibleError
    from autopanoptic.nas.space.extremes import Extremes as Extremes
    from autopanoptic.nas.space.extremes import extremes as extremes
    from autopanoptic.nas.space.space import SearchSpace as SearchSpace
    from autopanoptic.nas.stopping.base import Stopper as Stopper
    from autopanoptic.nas.stopping.racing import Racing as Racing
    from autopanoptic.nas.stopping.successive_halving import SuccessiveHalving as SuccessiveHalving
    from autopanoptic.nas.storage.journal import Journal as Journal
    from autopanoptic.nas.storage.journal import JournalError as JournalError
    from autopanoptic.nas.strategy import BatchStrategy as BatchStrategy
    from autopanoptic.nas.strategy import Strategy as Strategy
    from autopanoptic.nas.supernet.batch_norm import recalibrate as recalibrate
    from autopanoptic.nas.supernet.batch_norm import recalibrated as recalibrated
    from autopanoptic.nas.supernet.bins import BinnedPaths as BinnedPaths
    from autopanoptic.nas.supernet.elastic.convolution import ElasticConv2d as ElasticConv2d
    from autopanoptic.nas.supernet.elastic.layer import ElasticLayer as ElasticLayer
    from autopanoptic.nas.supernet.elastic.linear import ElasticLinear as ElasticLinear
    from autopanoptic.nas.supernet.elastic.norms import ElasticBatchNorm2d as ElasticBatchNorm2d
    from autopanoptic.nas.supernet.elastic.norms import ElasticGroupNorm as ElasticGroupNorm
    from autopanoptic.nas.supernet.elastic.sizes import Concat as Concat
    from autopanoptic.nas.supernet.elastic.sizes import Kernel as Kernel
    from autopanoptic.nas.supernet.elastic.sizes import Size as Size
    from autopanoptic.nas.supernet.elastic.sizes import Width as Width
    from autopanoptic.nas.supernet.elastic.sorting import sort_channels as sort_channels
    from autopanoptic.nas.supernet.mutables import InputChoice as InputChoice
    from autopanoptic.nas.supernet.mutables import LayerChoice as LayerChoice
    from autopanoptic.nas.supernet.mutables import ModelSpace as ModelSpace
    from autopanoptic.nas.supernet.mutables import Repeat as Repeat
    from autopanoptic.nas.supernet.paths import FairPaths as FairPaths
    from autopanoptic.nas.supernet.paths import PathSampler as PathSampler
    from autopanoptic.nas.supernet.paths import SandwichPaths as SandwichPaths
    from autopanoptic.nas.supernet.paths import UniformPaths as UniformPaths
    from autopanoptic.nas.supernet.per_depth import PerDepth as PerDepth
    from autopanoptic.nas.supernet.supernet import Supernet as Supernet
    from autopanoptic.nas.supernet.training.losses import DistillingLoss as DistillingLoss
    from autopanoptic.nas.supernet.training.losses import SoftLabels as SoftLabels
    from autopanoptic.nas.supernet.training.module import SupernetModule as SupernetModule
    from autopanoptic.nas.supernet.training.ranking import PairwiseRanking as PairwiseRanking
    from autopanoptic.nas.supernet.training.rates import ComplexityRate as ComplexityRate
    from autopanoptic.nas.supernet.training.shrinking import ShrinkingPaths as ShrinkingPaths
    from autopanoptic.nas.supernet.training.shrinking import opened as opened
    from autopanoptic.nas.trials.budget import Budget as Budget
    from autopanoptic.nas.trials.budget import RungResult as RungResult
    from autopanoptic.nas.trials.history import History as History
    from autopanoptic.nas.trials.objective import Constraint as Constraint
    from autopanoptic.nas.trials.objective import Objective as Objective
    from autopanoptic.nas.trials.trial import Trial as Trial
    from autopanoptic.nas.trials.trial import TrialState as TrialState
    from autopanoptic.strategies.bayesian.bayesian_optimization import BayesianOptimization as BayesianOptimization
    from autopanoptic.strategies.evolution import Evolution as Evolution
    from autopanoptic.strategies.grid_search import GridSearch as GridSearch
    from autopanoptic.strategies.local_search import LocalSearch as LocalSearch
    from autopanoptic.strategies.nsga2 import NSGA2 as NSGA2
    from autopanoptic.strategies.optuna.sampler import OptunaSampler as OptunaSampler
    from autopanoptic.strategies.path_priority.path_priority import PathPriority as PathPriority
    from autopanoptic.strategies.random_search import RandomSearch as RandomSearch
    from autopanoptic.strategies.regularized_evolution import RegularizedEvolution as RegularizedEvolution

_NAMES = {
    "autopanoptic.nas.budgets.asha": ["ASHA"],
    "autopanoptic.nas.budgets.hyperband": ["Bracket", "Hyperband"],
    "autopanoptic.nas.budgets.schedule": ["FixedBudget", "Promotion", "Schedule"],
    "autopanoptic.nas.callbacks.base": ["Callback", "SearchRun"],
    "autopanoptic.nas.callbacks.mlflow": ["MLflowCallback"],
    "autopanoptic.nas.callbacks.notebook": ["NotebookCallback"],
    "autopanoptic.nas.callbacks.table": ["TableCallback"],
    "autopanoptic.nas.callbacks.tensorboard": ["TensorBoardCallback"],
    "autopanoptic.nas.callbacks.wandb": ["WandbCallback"],
    "autopanoptic.nas.costs.additive": ["AdditiveCost"],
    "autopanoptic.nas.costs.flops": ["FlopCount"],
    "autopanoptic.nas.costs.latency": ["Latency"],
    "autopanoptic.nas.costs.layers.latency_table": ["LatencyTable"],
    "autopanoptic.nas.costs.layers.layer_costs": ["LayerCosts"],
    "autopanoptic.nas.costs.parameters": ["ParameterCount"],
    "autopanoptic.nas.evaluation.context": ["Context"],
    "autopanoptic.nas.evaluation.evaluator": ["Evaluator", "FunctionEvaluator", "Report", "StopTrial", "Unheard"],
    "autopanoptic.nas.evaluation.supernet_evaluator": ["SupernetEvaluator"],
    "autopanoptic.nas.evaluation.training_evaluator": ["TrainingEvaluator"],
    "autopanoptic.nas.executors.base": ["Executor"],
    "autopanoptic.nas.executors.inline": ["InlineExecutor"],
    "autopanoptic.nas.executors.processes": ["ProcessExecutor"],
    "autopanoptic.nas.executors.ray.executor": ["RayExecutor"],
    "autopanoptic.nas.executors.places": ["device_of_worker"],
    "autopanoptic.nas.results.optuna_export": ["export_optuna"],
    "autopanoptic.nas.results.optuna_follow": ["follow_optuna"],
    "autopanoptic.nas.results.result": ["Result"],
    "autopanoptic.nas.search.errors": ["SearchError"],
    "autopanoptic.nas.search.search": ["Search"],
    "autopanoptic.nas.results.warm_start": ["warm_start"],
    "autopanoptic.nas.space.architecture": ["Architecture", "Option"],
    "autopanoptic.nas.space.choice": ["Choice"],
    "autopanoptic.nas.space.constrained": ["InfeasibleError"],
    "autopanoptic.nas.space.extremes": ["Extremes", "extremes"],
    "autopanoptic.nas.space.space": ["SearchSpace"],
    "autopanoptic.nas.stopping.base": ["Stopper"],
    "autopanoptic.nas.stopping.racing": ["Racing"],
    "autopanoptic.nas.stopping.successive_halving": ["SuccessiveHalving"],
    "autopanoptic.nas.storage.journal": ["Journal", "JournalError"],
    "autopanoptic.nas.strategy": ["BatchStrategy", "Strategy"],
    "autopanoptic.nas.supernet.batch_norm": ["recalibrate", "recalibrated"],
    "autopanoptic.nas.supernet.bins": ["BinnedPaths"],
    "autopanoptic.nas.supernet.elastic.convolution": ["ElasticConv2d"],
    "autopanoptic.nas.supernet.elastic.layer": ["ElasticLayer"],
    "autopanoptic.nas.supernet.elastic.linear": ["ElasticLinear"],
    "autopanoptic.nas.supernet.elastic.norms": ["ElasticBatchNorm2d", "ElasticGroupNorm"],
    "autopanoptic.nas.supernet.elastic.sizes": ["Concat", "Kernel", "Size", "Width"],
    "autopanoptic.nas.supernet.elastic.sorting": ["sort_channels"],
    "autopanoptic.nas.supernet.mutables": ["InputChoice", "LayerChoice", "ModelSpace", "Repeat"],
    "autopanoptic.nas.supernet.paths": ["FairPaths", "PathSampler", "SandwichPaths", "UniformPaths"],
    "autopanoptic.nas.supernet.per_depth": ["PerDepth"],
    "autopanoptic.nas.supernet.supernet": ["Supernet"],
    "autopanoptic.nas.supernet.training.losses": ["DistillingLoss", "SoftLabels"],
    "autopanoptic.nas.supernet.training.module": ["SupernetModule"],
    "autopanoptic.nas.supernet.training.ranking": ["PairwiseRanking"],
    "autopanoptic.nas.supernet.training.rates": ["ComplexityRate"],
    "autopanoptic.nas.supernet.training.shrinking": ["ShrinkingPaths", "opened"],
    "autopanoptic.nas.trials.budget": ["Budget", "RungResult"],
    "autopanoptic.nas.trials.history": ["History"],
    "autopanoptic.nas.trials.objective": ["Constraint", "Objective"],
    "autopanoptic.nas.trials.trial": ["Trial", "TrialState"],
    "autopanoptic.strategies.bayesian.bayesian_optimization": ["BayesianOptimization"],
    "autopanoptic.strategies.evolution": ["Evolution"],
    "autopanoptic.strategies.grid_search": ["GridSearch"],
    "autopanoptic.strategies.local_search": ["LocalSearch"],
    "autopanoptic.strategies.nsga2": ["NSGA2"],
    "autopanoptic.strategies.optuna.sampler": ["OptunaSampler"],
    "autopanoptic.strategies.path_priority.path_priority": ["PathPriority"],
    "autopanoptic.strategies.random_search": ["RandomSearch"],
    "autopanoptic.strategies.regularized_evolution": ["RegularizedEvolution"],
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
