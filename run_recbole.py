"""Trains and tests a model under RecBole, and prints its metrics:

python run_recbole.py --model=MMBee --dataset=tiktok
python run_recbole.py --compare=MMBee,LightGCN,SIM --dataset=tiktok --result=results/tiktok.json
python run_recbole.py --help
"""

from mmbee_plugin.command.entry import start

if __name__ == "__main__":
    raise SystemExit(start("mmbee_plugin.recbole.run"))
