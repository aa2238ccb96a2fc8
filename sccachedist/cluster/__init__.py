"""Several schedulers of one farm: which of them decides, and how the others pass on what they are asked.

What a scheduler decides is not known here, and a scheduler does not know how it came to decide.
"""
