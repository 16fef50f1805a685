"""What a path is trained by: a plain loss, or one that also hands on what the largest path knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, Protocol, TypeAlias, runtime_checkable

from torch import Tensor, nn
from torch.nn import functional

Loss: TypeAlias = Callable[[nn.Module, Any], Tensor]
"""Takes the network, whose active path runs, and a batch; returns the loss to minimise, a scalar."""

LogitsAndLabels: TypeAlias = Callable[[nn.Module, Any], tuple[Tensor, Tensor]]


@runtime_checkable
class DistillingLoss(Protocol):
    """A loss by which one path of a cycle can teach the others of the same batch.

    Called like any other loss, it is that of the true labels alone. What one path hands on to the others may be
    anything: logits, and also where they were taken, such as the regions that a detector's teacher has sampled, so that
    all paths are compared at the same places.
    """

    def __call__(self, network: nn.Module, batch: Any) -> Tensor:
        """Return the loss of a path without a teacher."""

    def teach(self, network: nn.Module, batch: Any) -> tuple[Tensor, Any]:
        """Return the teacher's own loss, and what it hands on.

        The gradient of the loss is taken before any other path runs. Tensors in what is handed on, also within tuples,
        lists, dictionaries and dataclasses, are detached from the graph; those of other objects must be already.
        """

    def learn(self, network: nn.Module, batch: Any, knowledge: Any) -> Tensor:
        """Return the loss of another path, given what the teacher has handed on."""


class SoftLabels:
    """In-place distillation for classification: the largest path's class probabilities are the others' labels.

    The largest path is trained by the true labels; every other one by the cross-entropy with the probabilities that the
    largest gives in the same update, before it (Yu and Huang 2019, "Universally slimmable networks and improved
    training techniques", section on inplace distillation; BigNAS, Yu et al. 2020, section on the sandwich rule and
    inplace distillation; AttentiveNAS, Wang et al. 2021, does the same). No gradient flows through the probabilities.
    Once-for-all (Cai et al. 2020, section on progressive shrinking), whose teacher is a network trained beforehand,
    adds the cross-entropy with the true labels with a weight of 1, in its published code.

    Args:
        outputs: takes the network and a batch and returns the logits, of shape (N, classes) or (N, classes, ...), and
            the true labels, of shape (N) or (N, ...). By default a batch is a pair of inputs and labels.
        hard: the weight of the loss by the true labels in what the others learn from; 0 in the first three papers.
        temperature: divides the logits of both before the softmax; the loss by soft labels is multiplied by its square
            (Hinton et al. 2015, "Distilling the knowledge in a neural network"), so that its gradient keeps its size.
            1 in all of the above.
        true: the loss by true labels, of logits and labels; such as one with label smoothing.

    Raises:
        ValueError: when ``hard`` is negative or the temperature not positive.
    """

    def __init__(
        self,
        outputs: LogitsAndLabels | None = None,
        *,
        hard: float = 0.0,
        temperature: float = 1.0,
        true: Callable[[Tensor, Tensor], Tensor] = functional.cross_entropy,
    ) -> None:
        if not hard >= 0 or not temperature > 0:
            raise ValueError(f"hard={hard}, temperature={temperature}: hard must be at least 0, temperature above it.")
        self.outputs = outputs or _of_pair
        self.hard = hard
        self.temperature = temperature
        self.true = true

    def __call__(self, network: nn.Module, batch: Any) -> Tensor:
        """Return the loss by the true labels."""
        return self.true(*self.outputs(network, batch))

    def teach(self, network: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        """Return the loss by the true labels, and the class probabilities."""
        logits, labels = self.outputs(network, batch)
        return self.true(logits, labels), (logits.detach() / self.temperature).softmax(1)

    def learn(self, network: nn.Module, batch: Any, knowledge: Tensor) -> Tensor:
        """Return the loss by the teacher's probabilities, and by the true labels where they count."""
        logits, labels = self.outputs(network, batch)
        soft = functional.cross_entropy(logits / self.temperature, knowledge) * self.temperature**2
        return soft + self.hard * self.true(logits, labels) if self.hard else soft


def _of_pair(network: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    inputs, labels = batch
    return network(inputs), labels


def detached(knowledge: Any) -> Any:
    """Return the same knowledge with its tensors detached, also those within what holds them."""
    if isinstance(knowledge, Tensor):
        return knowledge.detach()
    if isinstance(knowledge, dict):
        return {key: detached(value) for key, value in knowledge.items()}
    if isinstance(knowledge, tuple) and hasattr(knowledge, "_fields"):
        return type(knowledge)(*map(detached, knowledge))
    if isinstance(knowledge, (list, tuple)):
        return type(knowledge)(map(detached, knowledge))
    if is_dataclass(knowledge) and not isinstance(knowledge, type):
        given = [field.name for field in fields(knowledge) if field.init]
        return replace(knowledge, **{name: detached(getattr(knowledge, name)) for name in given})
    return knowledge
