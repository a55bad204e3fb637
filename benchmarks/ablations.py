"""MMBee with its settings for TikTok and one choice made otherwise; `mmbee study parts` leaves parts out."""

from mmbee_plugin.graph.metapaths import PAPER_METAPATHS as PATHS

USERS_PATHS = [path for path in PATHS if path.startswith("u")]

ABLATIONS: dict[str, list[str]] = {
    "MMBee": [],
    "concat": ["--content=concat"],
    "users' metapaths alone": [f"--metapaths={','.join(USERS_PATHS)}"],
    "no attributes": ["--attributes=false"],
    "pooling set": ["--pooling=set"],
    "plain means": ["--neighbour_weights=false"],
    "the paper's mean": ["--pooling=set", "--neighbour_weights=false"],
    "OP elementwise": ["--projection=elementwise"],
    "OP token": ["--projection=token"],
    "leak: by pair, 20 folds": ["--graph.folds=20"],
    "Swing without self": ["--graph.swing_include_self=false"],
    "symmetric weights": ["--graph.normalisation=symmetric"],
    "paper's head and loss": ["--head=mlp", "--loss=bce"],
    "BPR loss": ["--loss=bpr"],
}
