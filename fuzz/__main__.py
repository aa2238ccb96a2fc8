"""``python -m fuzz TARGET SECONDS`` fuzzes one target; ``make fuzz`` fuzzes all of them. It needs the ``fuzz`` extra.

Ends with an error if something was found; libFuzzer then names the file with the input, below ``fuzz/_found``.
"""

import sys

import atheris

with atheris.instrument_imports(include=["sccachedist"]):
    from fuzz import targets

    _target = targets.target(sys.argv[1])

from fuzz.places import CORPUS, FOUND


def main(name: str, seconds: str) -> None:
    """Fuzz until the time is over or something is found."""
    found, seeds = FOUND / name, FOUND / f"{name}-seeds"
    for directory in (found, seeds, CORPUS / name):
        directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(_target.seeds()):
        (seeds / str(number)).write_bytes(seed)
    options = (f"-max_total_time={seconds}", "-max_len=8192", "-timeout=20", "-rss_limit_mb=1024")
    places = (str(found), str(seeds), str(CORPUS / name))
    atheris.Setup(
        [sys.argv[0], *options, "-print_final_stats=1", f"-artifact_prefix={FOUND}/{name}-", *places], _attack
    )
    atheris.Fuzz()


def _attack(data: bytes) -> None:
    _target.attack(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
