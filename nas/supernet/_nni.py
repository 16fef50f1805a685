"""NNI's mutable modules, imported quietly.

NNI 3.0 is archived: its import pulls in Lightning, warns about names that torch has since changed, and logs to
standard output. All of the library's imports of NNI go through this module.
"""

from __future__ import annotations

import sys
import warnings
from threading import RLock

CONSTRUCTION_LOCK = RLock()
"""NNI keeps the construction context in process-wide stacks; only one thread may build a model space at a time."""

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message=r".*is found to be not a nn\.Module", category=RuntimeWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=SyntaxWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"nni(\..*)?")
    import nni

    if "nni.nas" not in sys.modules:
        nni.set_default_framework("none")
    nni.silence_stdout()
    from nni.nas.nn.pytorch.base import ModelSpace, MutableModule, recursive_freeze
    from nni.nas.nn.pytorch.choice import InputChoice, LayerChoice
    from nni.nas.nn.pytorch.repeat import Repeat
    from nni.nas.space import current_model, model_context

__all__ = [
    "CONSTRUCTION_LOCK",
    "InputChoice",
    "LayerChoice",
    "ModelSpace",
    "MutableModule",
    "Repeat",
    "current_model",
    "model_context",
    "recursive_freeze",
]
