"""Package metadata. Every dependency and bound has a cause, listed in docs/dependencies.md."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
FRONT = (ROOT / "mmbee_plugin" / "__init__.py").read_text(encoding="utf-8")

setup(
    name="mmbee-plugin",
    version=re.search(r'^__version__ = "(.+)"$', FRONT, re.M)[1],
    description="MMBee (KDD 2024): multi-modal fusion and behaviour expansion, as a RecBole plugin",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=[*find_packages(include=["mmbee_plugin", "mmbee_plugin.*"]), "mmbee_plugin.recbole_configs"],
    # The settings of the checkout's recbole_configs/ travel with an installation.
    package_dir={"mmbee_plugin.recbole_configs": "recbole_configs"},
    package_data={
        "mmbee_plugin.recbole": ["properties/*"],
        "mmbee_plugin.serving.service.console": ["page.html", "*.css", "*.js"],
        "mmbee_plugin.tables.ranking": ["published.json"],
        "mmbee_plugin.recbole_configs": ["*.yaml", "tuning/*.hyper", "tuning/*/*.json"],
    },
    install_requires=[
        "torch>=2.13",
        "numpy>=1.26",
        "scipy>=1.12",
        "pandas>=2.3,<3",
        "numba>=0.61",
        "pydantic>=2.7",
        "typer>=0.15",
        "rich>=13",
    ],
    extras_require={
        "recbole": [
            "recbole==1.2.1",
            "hyperopt==0.2.7",
            "pyyaml>=6",
            "plotly>=6",
            "torch-geometric>=2.6",
            "numpy<2",
            "scipy<1.13",
            "setuptools<81",
        ],
        "torchrec": [
            "torchrec==1.8.0",
            "fbgemm-gpu==1.8.0",  # without a GPU: ./packaging/fbgemm-cpu in the same pip call
            "pyarrow>=17,<26",
            "pyyaml>=6",
            "tensorboard>=2.16",
            "numpy<2",
        ],
        "serve": [
            "starlette>=1",
            "uvicorn>=0.30",
            "uvloop>=0.21; platform_system != 'Windows'",
            "httptools>=0.6",
            "msgspec>=0.19",
            "prometheus-client>=0.21",
            "safetensors>=0.5",
            "redis>=6",
            "hiredis>=3",
        ],
        "logs": ["polars>=2.1,<3"],
        "text": ["scikit-learn>=1.5"],
        "sentences": ["sentence-transformers>=3"],
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "hypothesis>=6.100",
            "scikit-learn>=1.5",
            "ruff==0.17.6",
            "mypy==2.4.1",
            "types-PyYAML",
        ],
        "benchmarks": ["scikit-learn>=1.5", "torch-geometric>=2.6", "tqdm>=4.66"],
    },
    entry_points={"console_scripts": ["mmbee=mmbee_plugin.cli:main"]},
)
