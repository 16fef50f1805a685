"""Weight sharing: one network that holds every option, of which one path at a time is active."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.space import Canonical, SearchSpace
from autopanoptic.nas.supernet import _nni
from autopanoptic.nas.supernet.elastic.agreement import check_agreement
from autopanoptic.nas.supernet.elastic.layer import ElasticLayer, has_elastic
from autopanoptic.nas.supernet.elastic.sharing import check_apart, claim
from autopanoptic.nas.supernet.per_depth import PerDepth
from autopanoptic.nas.supernet.sites import selects_inputs, sites_of
from autopanoptic.nas.supernet.unused import used_choices

if TYPE_CHECKING:
    from autopanoptic.nas.results.result import Result


class Supernet:
    """One network that holds every option's weights; activating an architecture selects a path in place.

    Args:
        module: a network built with :class:`LayerChoice`, :class:`InputChoice` and :class:`Repeat`.
        inputs: example inputs, of which only shapes and types matter. With them a choice is inactive while no
            :class:`InputChoice` takes what comes of it, so that architectures which differ there alone are one. The
            network is followed on the meta device, once and once more for each option that holds choices of its own;
            what stands between a choice and an InputChoice is taken to pass its input on.
        canonical: maps an architecture to the representative of all that are the same network for other reasons; see
            :class:`SearchSpace`.

    Attributes:
        module: the network; calling it runs the active path.
        space: its search space.
        sites: by label, where in the network each choice is made.
        inputs: the example inputs, on the meta device.

    Raises:
        TypeError: when the module is not a :class:`ModelSpace`, or ``inputs`` is one tensor.
        ValueError: when its choices cannot be read; see :meth:`SearchSpace.from_module`.
        RuntimeError: with ``inputs``, when the class cannot be built again on its own.
    """

    def __init__(
        self, module: nn.Module, inputs: Sequence[torch.Tensor] = (), canonical: Canonical | None = None
    ) -> None:
        if not isinstance(module, _nni.ModelSpace):
            raise TypeError(f"A supernet's network must derive from ModelSpace, not {type(module).__name__}.")
        if isinstance(inputs, torch.Tensor):  # would pass for the sequence of its rows
            raise TypeError("A supernet's inputs are a sequence of tensors: give [example], not the example itself.")
        self.module: nn.Module = module
        self.sites = sites_of(module)
        claim(module)
        self.inputs = tuple(value.to("meta") for value in inputs)
        self.space = SearchSpace(site.choice() for site in self.sites.values())
        self._defaults = {choice.label: choice.options[0] for choice in self.space.choices}
        if self.inputs and has_elastic(module):
            check_agreement(self.meta())
        if self.inputs and selects_inputs(module):
            self.space = SearchSpace(used_choices(self.meta(), self.sites))
        if canonical is not None:
            self.space = SearchSpace(self.space.choices, canonical)
        self._active = self.activate(self._defaults)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the active path."""
        return self.module(*args, **kwargs)

    @property
    def active(self) -> Architecture:
        """The architecture that runs."""
        return self._active

    def activate(self, architecture: Mapping[str, Option]) -> Architecture:
        """Switch to an architecture in place; copies and allocates no tensor.

        Returns:
            The canonical form of the architecture.

        Raises:
            ValueError: when it is not in the space; the active path then stays as it was.
        """
        canonical = self.space.canonical(architecture)
        # Also what is inactive may run, where no output uses it, and shall not depend on the path before.
        for label, option in {**self._defaults, **canonical}.items():
            site = self.sites[label]
            for mutable in site.modules:
                # nn.Module.__setattr__ looks for parameters first, which costs more than the switch itself.
                mutable.__dict__[site.switch] = site.values[option]
        self._active = canonical
        return canonical

    def named_active_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield every module of the active path with its name in the subnet, once for each of its names."""
        yield from _subnet_modules(self.module, "")

    def active_modules(self) -> Iterator[nn.Module]:
        """Yield each module of the active path once."""
        seen: set[int] = set()
        for _, module in self.named_active_modules():
            if id(module) not in seen:
                seen.add(id(module))
                yield module

    def subnet(self, architecture: Mapping[str, Option], *, inherit: bool = True) -> nn.Module:
        """Build the stand-alone network of an architecture.

        The constructor of the network's class is called again with the same arguments. It may build, and its network
        run, branches that no output uses; costs leave them out.

        Args:
            architecture: what to build.
            inherit: whether to copy the supernet's weights, buffers and modes, onto their devices; the rest of the
                supernet is neither copied nor allocated. Else the network is initialised by its own constructor, on
                torch's default device and from its global generator.

        Raises:
            ValueError: when the architecture is not in the space.
            RuntimeError: when the class cannot be built again on its own, or builds a network whose weights differ
                from the path's.
        """
        canonical = self.space.canonical(architecture)
        if not inherit:
            return self._build(canonical)
        with _on_meta(type(self.module)):
            network = self._build(canonical).train(self.module.training)
        active = self._active
        try:
            self.activate(canonical)
            self._copy_into(network)
        finally:
            self.activate(active)
        return network

    def specialized(
        self,
        result: Result,
        *,
        objective: str | None = None,
        recalibrate_with: Iterable[Any] | None = None,
        forward: Callable[[nn.Module, Any], object] | None = None,
        **bounds: tuple[float | None, float | None],
    ) -> nn.Module:
        """Return the best network that a search found for a budget, ready to use without training.

        Such as ``supernet.specialized(result, gflops=(None, 0.2), recalibrate_with=batches)``: the stand-alone network
        of :meth:`Result.best_within`, with inherited weights and batch-norm statistics of its own, in evaluation mode
        (once-for-all's "specialized" network, Cai et al. 2020).

        Args:
            result: of a search in this supernet.
            objective: which of the search's objectives is compared; the first by default.
            recalibrate_with: a few batches of training images, gone through once, from which the batch norms take their
                statistics; needed where the network has any.
            forward: runs the network on a batch; ``network(batch)`` by default.
            **bounds: (low, high) by the name of a metric or cost, either may be None.

        Raises:
            ValueError: when no trial lies within the bounds, or the network has batch norms and no batches are given.
        """
        from autopanoptic.nas.supernet.specialization import specialized_network

        trial = result.best_within(bounds, objective)
        return specialized_network(self, trial.architecture, recalibrate_with, forward)

    def _build(self, canonical: Architecture) -> nn.Module:
        sample = {
            label: self.sites[label].values[canonical.get(label, default)] for label, default in self._defaults.items()
        }
        with _nni.CONSTRUCTION_LOCK, _nni.model_context(sample):
            return self._construct()

    def _construct(self) -> nn.Module:
        """Call the constructor again, and check that it made everything anew."""
        space: Any = self.module
        network: nn.Module = type(space)(*space.trace_args, **space.trace_kwargs)
        ours = {id(tensor) for tensor in _tensors(space)}
        if any(id(tensor) in ours for tensor in _tensors(network)):
            raise RuntimeError(
                f"{type(space).__name__} was given a module or a parameter as an argument, which a second network "
                "would share with the supernet. Make it inside the constructor, from numbers and names."
            )
        check_apart(space, network)
        return network

    def _copy_into(self, network: nn.Module) -> None:
        """Give every tensor of a network on the meta device the value of the active path's."""
        modules = dict(network.named_modules(remove_duplicate=False))
        copies: dict[int, Any] = {}
        sources = dict(_subnet_modules(self.module, ""))
        for path, source in sources.items():
            if path not in modules:
                raise RuntimeError(f"{type(self.module).__name__} builds no module {path!r} for this architecture.")
            modules[path].training = source.training
            _copy_tensors(source, modules[path], path, copies)
        for path, source in sources.items():  # the last, for what they hold may be parameters of any module
            _copy_others(source, modules[path], copies)
        left = [name for name, tensor in (*network.named_parameters(), *network.named_buffers()) if tensor.is_meta]
        if left:
            raise RuntimeError(f"{type(self.module).__name__} builds {left[0]!r}, which the supernet's path lacks.")

    def meta(self) -> Supernet:
        """Return the same supernet on the meta device: shapes without memory, for counting.

        Raises:
            RuntimeError: when the class cannot be built again on its own.
        """
        with _on_meta(type(self.module)):
            found = Supernet(self._construct())
        found.inputs, found.space = self.inputs, self.space
        return found


@contextmanager
def _on_meta(network: type) -> Iterator[None]:
    """Build on the meta device, and say what to do where a constructor needs the values of its tensors."""
    try:
        with torch.device("meta"):
            yield
    except (NotImplementedError, RuntimeError, TypeError) as problem:
        if "meta" not in str(problem):
            raise
        raise RuntimeError(
            f"{network.__name__} cannot be built without memory, on the meta device: {problem} Work out numbers in the "
            "constructor without tensors, for example by numpy."
        ) from problem


def _tensors(module: nn.Module) -> Iterator[torch.Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _copy_tensors(source: nn.Module, target: nn.Module, path: str, copies: dict[int, Any]) -> None:
    for kind in ("_parameters", "_buffers"):
        found, wanted = getattr(source, kind), getattr(target, kind)
        for name, tensor in wanted.items():
            if tensor is None:
                continue
            given = found.get(name)
            active = source.active_tensor(name) if isinstance(source, ElasticLayer) else given
            if given is None or active is None or active.shape != tensor.shape:
                raise RuntimeError(f"The subnet's {path}.{name} does not fit the supernet's path.")
            # Tensors that the supernet ties stay tied.
            wanted[name] = copies.setdefault(id(given), _clone(active, given))


def _copy_others(source: nn.Module, target: nn.Module, copies: dict[int, Any]) -> None:
    """Copy attributes that hold tensors and are neither parameters nor buffers, such as anchors."""
    for name, value in list(vars(target).items()):
        if name not in ("_parameters", "_buffers", "_modules") and any(one.is_meta for one in _tensors_in(value)):
            given = getattr(source, name)
            for one in _tensors_in(given):
                if one.requires_grad and not one.is_leaf:  # of a forward pass, as the weight of torch's spectral_norm
                    copies.setdefault(id(one), one.detach().clone())
            setattr(target, name, copy.deepcopy(given, copies))


def _clone(active: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """Return a copy of the active part of a tensor, a parameter where that is one."""
    copied = active.detach().clone()
    return nn.Parameter(copied, requires_grad=whole.requires_grad) if isinstance(whole, nn.Parameter) else copied


def _tensors_in(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors_in(item)


def _subnet_modules(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """Yield (name in the subnet, module of the supernet) along the active path.

    A LayerChoice and a PerDepth give their place to the chosen module; the blocks of a Repeat move up by one name.
    """
    if isinstance(module, _nni.LayerChoice):
        yield from _subnet_modules(module[module._dry_run_choice], name)
    elif isinstance(module, PerDepth):
        yield from _subnet_modules(module.active, name)
    elif isinstance(module, _nni.Repeat):
        for index in range(module._dry_run_depth):
            yield from _subnet_modules(module.blocks[index], _join(name, str(index)))
    elif not isinstance(module, _nni.InputChoice):
        yield name, module
        # named_children() would hide a module that is registered under a second name.
        for child_name, child in module._modules.items():
            if child is not None:
                yield from _subnet_modules(child, _join(name, child_name))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
