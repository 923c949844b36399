"""Speed, memory and compile time, compared with alternative libraries.

`python -m benchmarks [NAME ...]` times the sides of each benchmark in turns, in separate processes.
Each benchmark is one file in `cases/`, declared with the classes of `declaration.py`.
"""
