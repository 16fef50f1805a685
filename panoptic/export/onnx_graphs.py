"""Graphs as ONNX, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autopanoptic.panoptic.export.plans import Inputs, Plan
from autopanoptic.panoptic.export.programs import traced
from autopanoptic.panoptic.export.quiet import quiet
from autopanoptic.panoptic.model.operators.deform import one_operator

NEEDED = ("onnx", "onnxscript", "onnxruntime")
LEAST_OPSET, OPSET, DEFORMABLE_OPSET = 18, 20, 19
"""The oldest opset of torch's exporter, that of the exports, and the first with an operator DeformConv."""


def require(needed: Sequence[str] = NEEDED) -> None:
    """Refuse what needs packages of the extra ``onnx`` where they are missing.

    Raises:
        ImportError: Names them, and says how to install them.
    """
    if missing := [name for name in needed if find_spec(name) is None]:
        raise ImportError(f'ONNX needs {" and ".join(missing)}. Install it by: pip install "autopanoptic[onnx]"')


def check_opset(opset: int) -> None:
    """Refuse an opset that torch's exporter or the installed onnx lacks; ValueError then."""
    from onnx.defs import onnx_opset_version

    if not LEAST_OPSET <= opset <= onnx_opset_version():
        raise ValueError(
            f"opset={opset}: torch's exporter and the installed onnx know {LEAST_OPSET} to {onnx_opset_version()}"
        )


def write_onnx(plan: Plan, outputs: Sequence[str], path: Path, opset: int = OPSET) -> None:
    """Trace a graph and write it as ONNX.

    From `DEFORMABLE_OPSET` on deformable convolutions are ONNX's operator DeformConv; before, they are sampled by
    GridSample and multiplied by their kernels.
    """
    deformable = one_operator() if opset >= DEFORMABLE_OPSET else nullcontext()
    with quiet(), deformable:
        program = torch.onnx.export(
            traced(plan),
            dynamo=True,
            opset_version=opset,
            input_names=list(plan.two),
            output_names=list(outputs),
            dynamic_shapes=plan.axes,
            verbose=False,
        )
    assert program is not None
    program.save(path)


class OnnxGraph:
    """An ONNX file, opened by onnxruntime.

    Args:
        path: The file.
        threads: That compute; None for as many as torch has.
        providers: Where it is run, in onnxruntime's names.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If onnxruntime cannot open it, as where it is damaged.
    """

    def __init__(
        self, path: Path, threads: int | None = None, providers: Sequence[str] = ("CPUExecutionProvider",)
    ) -> None:
        import onnxruntime

        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such file; export the network again")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        try:
            self._session: Any = onnxruntime.InferenceSession(path, options, providers=list(providers))
        except Exception as error:  # onnxruntime's own have no common base, and a torn file's is any of them
            raise ValueError(f"{path} cannot be opened by onnxruntime: {error}") from error
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, inputs: Inputs) -> Inputs:
        """Run it: float32 and int64 tensors by name, to tensors by name."""
        found = self._session.run(self._outputs, {name: np.ascontiguousarray(x.numpy()) for name, x in inputs.items()})
        return dict(zip(self._outputs, map(torch.from_numpy, found), strict=True))
