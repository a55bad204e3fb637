"""The trainable parts of MMBee as plain PyTorch modules: they know tensors, and neither ids nor files."""

from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.bdr import PeerAttention, Perspectives
from mmbee_plugin.modules.concat import Concat
from mmbee_plugin.modules.dien import DIEN
from mmbee_plugin.modules.din import DIN
from mmbee_plugin.modules.ego_fusion import EgoFusion
from mmbee_plugin.modules.gie import GIE
from mmbee_plugin.modules.gtr import GTRModel
from mmbee_plugin.modules.mfq import MFQ, OrthogonalProjection
from mmbee_plugin.modules.mmoe import MMoEHead
from mmbee_plugin.modules.mta import MTA
from mmbee_plugin.modules.sasrec import SASRec
from mmbee_plugin.modules.shapes import ContentSettings, GTRSettings, SIMSettings
from mmbee_plugin.modules.sim import SIM

__all__ = [
    "DIEN",
    "DIN",
    "GIE",
    "MFQ",
    "MTA",
    "SIM",
    "AuthorSide",
    "Concat",
    "ContentSettings",
    "EgoFusion",
    "GTRModel",
    "GTRSettings",
    "MMoEHead",
    "OrthogonalProjection",
    "PeerAttention",
    "Perspectives",
    "SASRec",
    "SIMSettings",
    "UserSide",
]
