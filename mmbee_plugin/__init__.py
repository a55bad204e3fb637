"""MMBee (KDD 2024): multi-modal fusion (MFQ) and graph-guided interest expansion (GIE) for RecBole and TorchRec.

The parts of the model are here by name and load with the first use of one; importing the package loads nothing else.

Example:
    >>> from mmbee_plugin import MFQ, ContentSettings
    >>> MFQ(ContentSettings(widths={"visual": 128}, width=16, num_queries=4)).out_width
    64
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmbee_plugin.modules import *  # noqa: F403

__version__ = "0.2.0"

__all__ = """
    DIEN DIN GIE MFQ MTA SIM AuthorSide Backbone Concat Content ContentSettings DotHead EgoFusion GTRModel GTRSettings
    GraphCLLoss Interest MLPHead MMoEHead OrthogonalProjection PeerAttention Perspectives SASRec SIMSettings UserSide
""".split()  # noqa: SIM905


def __getattr__(name: str) -> Any:
    if name not in __all__:  # a submodule is not looked for in torch's company
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mmbee_plugin import modules

    return getattr(modules, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
