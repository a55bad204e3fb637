"""Package metadata. Every dependency and bound has a cause, listed in docs/dependencies.md."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
BESIDE = ("recbole_configs", "torchrec_configs", "examples")
"""folders of the checkout that travel with an installation, within the package"""
FRONT = (ROOT / "mmbee_plugin" / "__init__.py").read_text(encoding="utf-8")

setup(
    name="mmbee-plugin",
    version=re.search(r'^__version__ = "(.+)"$', FRONT, re.M)[1],
    description="MMBee (KDD 2024): multi-modal fusion and behaviour expansion, for RecBole and TorchRec",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    author="The mmbee-plugin contributors",
    project_urls={"Paper": "https://arxiv.org/abs/2407.00056"},
    keywords="recommender live-streaming multi-modal graph recbole torchrec",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=[
        *find_packages(include=["mmbee_plugin", "mmbee_plugin.*"]),
        *(f"mmbee_plugin.{folder}" for folder in BESIDE),
    ],
    package_dir={f"mmbee_plugin.{folder}": folder for folder in BESIDE},
    package_data={
        "mmbee_plugin": ["py.typed"],
        "mmbee_plugin.recbole": ["properties/*"],
        "mmbee_plugin.experiments": ["assets/*.css", "assets/*.js", "assets/plotly/*"],
        "mmbee_plugin.spark": ["log4j2.properties"],
        "mmbee_plugin.serving.service.console": ["page.html", "*.css", "*.js"],
        "mmbee_plugin.tables.ranking": ["published.json"],
        "mmbee_plugin.recbole_configs": ["*.yaml", "tuning/*.hyper", "tuning/*/*.json"],
        "mmbee_plugin.torchrec_configs": ["*.yaml"],
        "mmbee_plugin.examples": ["*.yaml"],
    },
    install_requires=[
        "torch>=2.6",
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
            "torch>=2.13",
            "hyperopt==0.2.7",
            "pyyaml>=6",
            "plotly>=6",
            "torch-geometric>=2.6",
            # On 3.12 and later ./packaging/ray-none in the same pip call; on 3.11 ray itself may be there.
            "numpy<2; python_version < '3.12'",
            "setuptools<81",
        ],
        "torchrec": [
            "torchrec==1.8.0",
            "torch>=2.13",
            "fbgemm-gpu==1.8.0",  # without a GPU: ./packaging/fbgemm-cpu in the same pip call
            "pyarrow>=17,<26",
            "pyyaml>=6",
            "tensorboard>=2.16",
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
        "spark": ["pyspark>=4,<5", "pyarrow>=17,<26", "polars>=2.1,<3"],
        "text": ["scikit-learn>=1.5"],
        "sentences": ["sentence-transformers>=3"],
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "duckdb>=1",
            "hypothesis>=6.100",
            "schemathesis>=4.32",
            "scikit-learn>=1.5",
            "ruff==0.17.6",
            "mypy==2.4.1",
            "types-PyYAML",
        ],
        "docs": [
            "sphinx>=8.2",
            "pydata-sphinx-theme>=0.16",
            "myst-parser>=4",
            "sphinx-copybutton>=0.5",
            "sphinx-design>=0.6",
            "nbclient>=0.10",
            "ipykernel>=6",
        ],
        "benchmarks": ["duckdb>=1", "scikit-learn>=1.5", "torch-geometric>=2.6", "tqdm>=4.66"],
    },
    entry_points={"console_scripts": ["mmbee=mmbee_plugin.cli:main"]},
)
