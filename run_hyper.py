"""Searches for good settings of a model, and prints the best with its metric on validation data:

python run_hyper.py --dataset=tiktok --max_evals=20
python run_hyper.py --model=LightGCN --dataset=tiktok --params_file=my.hyper --algo=exhaustive
python run_hyper.py --help
"""

from mmbee_plugin.command.entry import start

if __name__ == "__main__":
    raise SystemExit(start("mmbee_plugin.recbole.tune"))
