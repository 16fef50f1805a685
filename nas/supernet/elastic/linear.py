"""An elastic linear layer."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas.supernet.elastic.layer import ElasticLayer, channels, fixed, is_elastic
from autopanoptic.nas.supernet.elastic.sizes import Size


class ElasticLinear(ElasticLayer, nn.Linear):
    """``torch.nn.Linear`` of elastic features: its active part is a slice of the weight.

    Of numbers alone it makes ``torch.nn.Linear`` itself.

    Args:
        in_features: the size of the input's last dimension. After ``flatten`` of 7x7 positions, ``width * 49``.
        out_features: the size of the output's last dimension.
        bias: as torch's.
        device: as torch's.
        dtype: as torch's.

    Raises:
        ValueError: when a size may be 0.
        DisagreementError: on use, when the input has another size than the active one.
    """

    def __new__(cls, in_features: Size = 0, out_features: Size = 0, *args: Any, **keywords: Any) -> Any:
        """Return torch's layer where no size is elastic."""
        if cls is not ElasticLinear or not in_features or is_elastic([in_features, out_features]):
            return super().__new__(cls)
        return nn.Linear(fixed(in_features), fixed(out_features), *args, **keywords)

    def __init__(
        self, in_features: Size, out_features: Size, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        self_in, self_out = channels(in_features, "in_features"), channels(out_features, "out_features")
        super().__init__(self_in.largest, self_out.largest, bias, device=device, dtype=dtype)
        self.in_size, self.out_size = self_in, self_out
        self.layout = {"weight": (self_out, self_in), "bias": (self_out,)}

    def forward(self, x: Tensor) -> Tensor:
        """Return the active part's output, of shape (..., out_features)."""
        self.check_channels(x, -1)
        weight = self.active_tensor("weight")
        assert weight is not None
        return functional.linear(x, weight, self.active_tensor("bias"))
