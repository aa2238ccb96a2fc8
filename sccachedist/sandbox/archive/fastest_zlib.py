"""The fastest installed library that deflates and inflates, with the interface of :mod:`zlib`.

ISA-L deflates five to ten times as fast at its level 1 and inflates twice as fast, but not every platform has builds of
it. What is compressed is not known here.
"""

try:
    from isal import isal_zlib as fastest
except ImportError:
    import zlib as fastest  # type: ignore[no-redef]

__all__ = ["FASTEST_LEVEL", "DamagedStream", "fastest"]

#: The error for a damaged stream.
DamagedStream: type[Exception] = fastest.error  # type: ignore[assignment]

#: The level that takes the least time and still compresses, in both libraries.
FASTEST_LEVEL = 1
