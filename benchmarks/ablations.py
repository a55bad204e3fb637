"""Rows of the ablation table: MMBee with its settings for TikTok, one choice changed in each."""

from mmbee_plugin.graph.metapaths import PAPER_METAPATHS as PATHS

USERS_PATHS = [path for path in PATHS if path.startswith("u")]

ABLATIONS: dict[str, list[str]] = {
    "MMBee": [],
    "no content": ["--content=none"],
    "concat": ["--content=concat"],
    "no queries": ["--use_queries=false"],
    "no visual": ["--modalities=acoustic"],
    "no acoustic": ["--modalities=visual"],
    "no GIE": ["--interest=none"],
    "users' metapaths alone": [f"--metapaths={','.join(USERS_PATHS)}"],
    **{f"no {path}": [f"--metapaths={','.join(p for p in PATHS if p != path)}"] for path in PATHS},
    "no reach": ["--graph.reach_top_k=0"],
    "no attributes": ["--attributes=false"],
    "fresh node tables": ["--node_tables=fresh"],
    "pooling set": ["--pooling=set"],
    "plain means": ["--neighbour_weights=false"],
    "the paper's mean": ["--pooling=set", "--neighbour_weights=false"],
    "OP elementwise": ["--projection=elementwise"],
    "OP token": ["--projection=token"],
    "leak: left in": ["--graph.folds=0"],
    "leak: by pair, 20 folds": ["--graph.folds=20"],
    "Swing without self": ["--graph.swing_include_self=false"],
    "symmetric weights": ["--graph.normalisation=symmetric"],
    "paper's head and loss": ["--head=mlp", "--loss=bce"],
    "BPR loss": ["--loss=bpr"],
}
