"""The trainable parts of MMBee as plain PyTorch modules: they know tensors, and neither ids nor files."""

from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.concat import Concat
from mmbee_plugin.modules.din import DIN
from mmbee_plugin.modules.gie import GIE
from mmbee_plugin.modules.gtr import GTRModel, GTRSettings
from mmbee_plugin.modules.mfq import MFQ, OrthogonalProjection
from mmbee_plugin.modules.sim import SIM, SIMSettings
from mmbee_plugin.modules.tokens import ContentSettings

__all__ = [
    "DIN",
    "GIE",
    "MFQ",
    "SIM",
    "AuthorSide",
    "Concat",
    "ContentSettings",
    "GTRModel",
    "GTRSettings",
    "OrthogonalProjection",
    "SIMSettings",
    "UserSide",
]
