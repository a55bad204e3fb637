"""Settings of the multi-modal baselines: what they share, then those of each; letters are those of its class.

They are not in the models' files, so that ``--help`` lists them without PyTorch Geometric.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from mmbee_plugin.recbole.config.declared import FlatSettings
from mmbee_plugin.settings.needs import Needs
from mmbee_plugin.settings.section import Names


class FeatureSettings(FlatSettings):
    """Which features of items a baseline reads."""

    modalities: Names | None = None
    """the dataset's modalities to read; ~: all"""


class ContentSettings(FeatureSettings):
    """Widths and missing modalities of a baseline that projects features."""

    embedding_size: int = Field(default=64, ge=1)
    """width d of vectors: of ids and of each modality"""
    modality_dropout: float = Field(default=0.1, ge=0, le=1)
    """chance that a present modality is hidden in training, never the last one of an item"""


class GraphModelSettings(ContentSettings):
    """What all baselines over the training graph have."""

    reg_weight: float = Field(default=0.001, ge=0)
    """lambda, weight of the L2 term"""


class MMGCNSettings(GraphModelSettings):
    """MMGCN, with the defaults of its authors' README for TikTok."""

    of_recbole: ClassVar[Mapping[str, Any]] = {
        "learning_rate": 0.0005,  # MovieLens 0.0001
        "train_batch_size": 1024,
        "stopping_step": 20,
    }

    reg_weight: float = Field(default=0.1, ge=0)
    """lambda, weight of the L2 term; the authors' for MovieLens is 0.0001"""
    feature_width: int = Field(default=256, ge=1)
    """width of the widest projection of features; narrower features keep their width"""
    n_layers: int = Field(default=2, ge=1)
    """layers L of each modality's tower"""
    combine: Literal["concat", "sum"] = "concat"
    """concat: W3 reads [h ; x] | sum: W3 reads h, and x is added"""
    aggregate: Literal["mean", "max"] = "mean"
    """mean: of the neighbours' messages | max: their maximum, column by column"""
    fuse: Literal["mean", "sum"] = "mean"
    """mean: of the towers, as in the authors' code | sum: as in the paper"""


class GRCNSettings(GraphModelSettings):
    """GRCN, with the defaults of its authors' README for TikTok."""

    of_recbole: ClassVar[Mapping[str, Any]] = {
        "learning_rate": 0.0001,
        "train_batch_size": 1024,
        "stopping_step": 20,
    }

    reg_weight: float = Field(default=0.001, ge=0)
    """lambda, weight of the L2 term; the authors' for Kwai is 0.1, for MovieLens 0.0001"""
    n_routings: int = Field(default=3, ge=0)
    """rounds T of routing"""
    n_layers: int = Field(default=2, ge=1)
    """layers l of the id graph"""
    pruning: Literal["soft", "hard"] = "soft"
    """soft: edges keep their weights S | hard: edges of negative weight are cut"""


class EgoGCNSettings(GraphModelSettings):
    """EgoGCN, with the defaults of its authors' README for TikTok."""

    of_recbole: ClassVar[Mapping[str, Any]] = {
        "learning_rate": 0.0003,  # MovieLens 0.0002
        "train_batch_size": 1024,  # MovieLens 2048
        "epochs": 300,
        "stopping_step": 20,
    }

    reg_weight: float = Field(default=0.001, ge=0)
    """lambda, weight of the L2 term; the authors' for MovieLens is 0.0001"""
    gate: Literal["hard", "soft"] = "hard"
    """hard: the mean of the modalities where attention is above threshold_gate | soft: a learned gate"""
    threshold_gate: Annotated[float, Needs("gate", among=("hard",))] = Field(default=0.6, ge=0, le=1)
    """theta of the hard gate; the authors' for MovieLens is 0.4"""
    reattention: bool = True
    """attention is computed again from the modulated messages"""
    n_rounds: int = Field(default=1, ge=0)
    """rounds R of attention within each modality; the authors' for MovieLens is 3"""
    n_layers: int = Field(default=3, ge=1)
    """layers L of the id graph"""


class MMMLPSettings(ContentSettings):
    """MMMLP, with the defaults of its authors' code."""

    of_recbole: ClassVar[Mapping[str, Any]] = {
        "MAX_ITEM_LIST_LENGTH": 50,
        "loss_type": "CE",
        "learning_rate": 0.0001,
        "train_batch_size": 256,
        "train_neg_sample_args": None,
        "epochs": 100,
        "stopping_step": 10,
    }

    embedding_size: int = Field(default=128, ge=1)
    """width d of vectors: of ids and of each modality"""
    expansion: int = Field(default=4, ge=1)
    """hidden layers of a mixer are so many times wider than what they read"""
    n_layers: int = Field(default=4, ge=1)
    """mixers n of each stream: of ids and of each modality"""
    n_fusion_layers: int = Field(default=1, ge=0)
    """mixers n_f over the joined streams"""
    dropout_prob: float = Field(default=0.5, ge=0, le=0.99)
    """dropout after both parts of a mixer"""
    softmax_items: int = Field(default=50000, ge=0)
    """items up to which the softmax is over all; with more it is over the batch's targets and sampled_items"""
    sampled_items: int = Field(default=4096, ge=1)
    """items drawn uniformly for a batch where there are more than softmax_items"""


class MMSSLSettings(GraphModelSettings):
    """MMSSL, with the defaults of its authors' code."""

    of_recbole: ClassVar[Mapping[str, Any]] = {
        "learner": "adamw",
        "weight_decay": 0.0,  # of AdamW; the explicit terms regularise
        "learning_rate": 0.00055,
        "train_batch_size": 1024,
        "stopping_step": 7,
    }

    reg_weight: float = Field(default=0.00001, ge=0)
    """lambda, weight of the L2 terms"""
    n_layers: int = Field(default=2, ge=1)
    """layers l of the id graph"""
    heads: int = Field(default=4, ge=1)
    """attention heads H among a node's modality views; they divide embedding_size"""
    modality_share: float = Field(default=0.36, ge=0)
    """eta, weight of the attended modality views beside ids"""
    content_share: float = Field(default=0.55, ge=0)
    """omega, weight of the propagated features in the final vectors"""
    dropout_prob: float = Field(default=0.2, ge=0, le=0.99)
    """dropout of projected features"""
    generated: int = Field(default=10, ge=0)
    """items of each user that a generated graph adds to those of training, the best by S_m"""
    temperature: Annotated[float, Needs("contrast_weight")] = Field(default=0.5, ge=1e-6)
    """tau of the contrastive loss L_CL"""
    contrast_weight: float = Field(default=0.03, ge=0)
    """weight of L_CL"""
    adversarial_weight: float = Field(default=0.0001, ge=0)
    """weight of the critic's judgement D in the model's loss"""
    critic_items: int = Field(default=10000, ge=0)
    """items up to which the critic reads whole rows; with more it reads random projections of them"""
    critic_users: int = Field(default=1024, ge=1)
    """users of a batch at most whose rows the critic reads; which ones is drawn"""
    critic_learning_rate: float = Field(default=0.0003, ge=0)
    """learning rate of the critic's Adam"""

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.embedding_size % self.heads:
            raise ValueError(f"embedding_size {self.embedding_size} is no multiple of heads {self.heads}")
        return self


class FBSMSettings(FeatureSettings):
    """FBSM."""

    reg_weight: float = Field(default=10, ge=1e-9)
    """lambda of the ridge regression"""


BASELINES: tuple[type[FeatureSettings], ...] = (
    MMGCNSettings,
    GRCNSettings,
    EgoGCNSettings,
    MMMLPSettings,
    MMSSLSettings,
    FBSMSettings,
)
"""The baselines' sections, in the order of their lists."""
