"""The trainable parts of MMBee as plain PyTorch modules: they read tensors, and neither ids nor files.

A part is a file with its class, on the base of its kind (`backbone`, `content`, `interest`, `heads`), and a row in
`parts`; what it needs of data and training it states as attributes of its class.

Not here: tables of vectors and the lookup of ids (`recbole`, `torchrec`), how graphs are built (`graph`).
"""

from mmbee_plugin.modules.backbone import Backbone
from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.bdr import PeerAttention, Perspectives
from mmbee_plugin.modules.concat import Concat
from mmbee_plugin.modules.content import Content
from mmbee_plugin.modules.dien import DIEN
from mmbee_plugin.modules.din import DIN
from mmbee_plugin.modules.ego_fusion import EgoFusion
from mmbee_plugin.modules.gie import GIE
from mmbee_plugin.modules.graphcl import GraphCLLoss
from mmbee_plugin.modules.gtr import GTRModel
from mmbee_plugin.modules.heads import DotHead, MLPHead
from mmbee_plugin.modules.interest import Interest
from mmbee_plugin.modules.mfq import MFQ, OrthogonalProjection
from mmbee_plugin.modules.mmoe import MMoEHead
from mmbee_plugin.modules.mta import MTA
from mmbee_plugin.modules.parts import GTRSettings
from mmbee_plugin.modules.sasrec import SASRec
from mmbee_plugin.modules.shapes import ContentSettings, SIMSettings
from mmbee_plugin.modules.sim import SIM

__all__ = [
    "DIEN",
    "DIN",
    "GIE",
    "MFQ",
    "MTA",
    "SIM",
    "AuthorSide",
    "Backbone",
    "Concat",
    "Content",
    "ContentSettings",
    "DotHead",
    "EgoFusion",
    "GTRModel",
    "GTRSettings",
    "GraphCLLoss",
    "Interest",
    "MLPHead",
    "MMoEHead",
    "OrthogonalProjection",
    "PeerAttention",
    "Perspectives",
    "SASRec",
    "SIMSettings",
    "UserSide",
]
