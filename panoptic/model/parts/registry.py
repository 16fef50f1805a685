"""Parts by their names: every one, shipped or a user's own, is made known by `register`; loads no torch by itself.

A user's module registers its parts when it is imported, and the config's ``imports`` name the module, so that every
process and every later command knows them, too. Those that ship stand in modules of the same form, which are imported
when a part of their kind is first asked for.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast

from autopanoptic.panoptic.model.parts.imports import import_modules
from autopanoptic.panoptic.model.parts.kinds import COMPONENTS, KINDS, AnyPart

if TYPE_CHECKING:
    from collections.abc import Callable

    from autopanoptic.panoptic.model.config import PanopticConfig

P = TypeVar("P", bound=AnyPart)

HOW = (
    "One of your own is known once the module that registers it is imported: name it in network.imports, as --import "
    "MODULE does"
)
"""How a part becomes known, for messages."""

_KNOWN: dict[type[AnyPart], dict[str, AnyPart]] = {kind: {} for kind in KINDS}


def register(part: P) -> P:
    """Make a part known, so that configs may name it, and return it.

    The same code may do so again, as when a notebook's cell or a program is run as ``__main__`` and imported, too.

    Raises:
        TypeError: If it is none of the kinds.
        ValueError: If another part of the kind has the name.
    """
    if type(part) not in _KNOWN:
        kinds = ", ".join(kind.__name__ for kind in KINDS)
        raise TypeError(f"a part to register is one of {kinds}, not {part!r}")
    _load(type(part))
    known = _KNOWN[type(part)]
    other = known.get(part.name)
    if other is not None and other != part and not _is_same_code(other.build, part.build):
        raise ValueError(
            f"there is another {part.what} named {part.name!r}, built by {_named(other.build)}; give yours another name"
        )
    known[part.name] = part
    return part


def names_of(kind: type[AnyPart]) -> tuple[str, ...]:
    """Return the names of the parts of a kind: those that ship, then the others in the order in which they came."""
    return tuple(dict.fromkeys([*kind.shipped, *_KNOWN[kind]]))


def part_of(kind: type[P], name: str) -> P:
    """Return the part of a kind with a name.

    Raises:
        ValueError: If there is none; names those that there are.
    """
    _load(kind)
    found = _KNOWN[kind].get(name)
    if found is None:
        raise ValueError(unknown(kind, name))
    return cast("P", found)


def unknown(kind: type[AnyPart], name: object) -> str:
    """Say that there is no part with a name, and how there could be."""
    return f"there is no {kind.what} {name!r}, only {', '.join(names_of(kind))}. {HOW}"


def built(kind: type[AnyPart], names: tuple[str, ...], config: PanopticConfig, *site: Any) -> dict[str, Any]:
    """Build the parts with these names for a place in the network, in whatever process that is.

    Args:
        kind: Of the parts.
        names: Theirs.
        config: Of the network.
        site: What the kind's ``build`` takes.

    Raises:
        ValueError: If one is unknown, or does not know the sizes of the elastic space.
    """
    import_modules(config.imports)
    parts = {name: part_of(kind, name) for name in names}
    for part in parts.values():
        require_sizes(part, config)
    return {name: part.build(*site) for name, part in parts.items()}


def component(field: str, config: PanopticConfig, *site: Any) -> Any:
    """Build the component that a field of the config names; errors as of `built`.

    Args:
        field: One of `COMPONENTS`.
        config: Of the network.
        site: What the kind's ``build`` takes behind the config.
    """
    name: str = getattr(config, field)
    return built(COMPONENTS[field], (name,), config, config, *site)[name]


def require_sizes(part: AnyPart, config: PanopticConfig) -> None:
    """Refuse a part of fixed widths where widths are choices.

    Raises:
        ValueError: Naming it.
    """
    if problem := sizes_problem(part, config):
        raise ValueError(problem)


def sizes_problem(part: AnyPart, config: PanopticConfig) -> str | None:
    """Say that a part is of fixed widths, where widths are choices; None where all is well."""
    if not config.elastic or part.elastic:
        return None
    fixed = "sizes: fixed" if config.space == "published" else "the space auto-panoptic"
    return (
        f"the {part.what} {part.name!r} is registered for fixed widths alone, and in the space {config.space} widths "
        "are choices: build it of elastic layers, such as autopanoptic.nas.ElasticConv2d, and register it with "
        f"elastic=True; or leave it out, or take {fixed}"
    )


def flop_formulas(config: PanopticConfig) -> dict[Any, Callable[..., int]]:
    """Return the formulas that the parts of a config bring, for ``FlopCounterMode(custom_mapping=...)``."""
    import_modules(config.imports)
    return {
        operator: formula
        for kind, names in (*config.parts(), *config.components())
        for name in names
        for operator, formula in part_of(kind, name).flops.items()
    }


@contextmanager
def own_parts() -> Iterator[None]:
    """Forget at the end of a block what was registered in it, as a test or a page of documentation wants."""
    for kind in KINDS:
        _load(kind)
    before = {kind: dict(known) for kind, known in _KNOWN.items()}
    try:
        yield
    finally:
        _KNOWN.update(before)


def described() -> Iterator[str]:
    """Yield lines that name all parts that are known now, kind by kind, with where they are from."""
    for kind in KINDS:
        yield f"{kind.what}s:"
        for name in names_of(kind):
            part = part_of(kind, name)
            module, _, _ = _place(part.build)
            yield f"  {name}{'' if part.elastic else ', for fixed widths'} ({module})"


def _load(kind: type[AnyPart]) -> None:
    # While it is being imported it is found there as far as it has come, so that its own calls end.
    import_module(kind.home)


def _is_same_code(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether two functions or classes have been read from one place, as by imports under two names."""
    (module, name, file), (other_module, other_name, other_file) = _place(one), _place(other)
    return name == other_name and (module == other_module or (file is not None and file == other_file))


def _place(build: Callable[..., Any]) -> tuple[str, str, str | None]:
    while isinstance(build, partial):
        build = build.func
    module, name = getattr(build, "__module__", ""), getattr(build, "__qualname__", repr(build))
    if name.endswith("<lambda>"):  # which all have one name
        name += f" of line {build.__code__.co_firstlineno}"
    try:
        return module, name, inspect.getsourcefile(build)
    except TypeError:
        return module, name, None


def _named(build: Callable[..., Any]) -> str:
    module, name, file = _place(build)
    return f"{module}.{name}" + (f" in {file}" if file else "")
