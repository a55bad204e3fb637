"""The models: MMBee and the baselines that RecBole lacks, one file each."""
