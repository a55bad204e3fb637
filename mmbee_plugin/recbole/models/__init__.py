"""The models: MMBee, its backbones on their own, and the baselines that RecBole lacks."""
