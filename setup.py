"""Package metadata. Upper bounds have causes, listed in docs/dependencies.md."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent

setup(
    name="mmbee-plugin",
    version="0.1.0",
    description="MMBee (KDD 2024): multi-modal fusion and behaviour expansion, as a RecBole plugin",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    python_requires=">=3.10,<3.12",
    packages=find_packages(include=["mmbee_plugin", "mmbee_plugin.*"]),
    package_data={"mmbee_plugin.recbole": ["properties/*.yaml", "configs/*.yaml", "configs/*.hyper"]},
    install_requires=[
        "torch>=2.4",
        "numpy<2",
        "scipy<1.13",
        "pandas<3",
        "numba>=0.60",
        "pyyaml>=6",
        "typer>=0.12",
        "rich>=13",
        "tqdm>=4.66",
    ],
    extras_require={
        "recbole": ["recbole==1.2.1", "hyperopt==0.2.7", "setuptools<81"],
        "test": [
            "pytest>=8",
            "hypothesis>=6.100",
            "scikit-learn>=1.3",
            "ruff==0.17.6",
            "mypy==2.4.1",
            "types-PyYAML",
            "types-tqdm",
        ],
        "benchmarks": ["scikit-learn>=1.3", "torch-geometric>=2.6"],
    },
    entry_points={"console_scripts": ["mmbee=mmbee_plugin.cli:main"]},
)
