"""Speed, memory and compile time against what a researcher would use instead.

`python -m benchmarks [NAME ...]` runs peers side by side, each in a process of its own, in turns.
One file per benchmark in `cases/`; `declaration.py` says what such a file holds.
"""
