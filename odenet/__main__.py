"""`python -m odenet`."""

from odenet.cli.main import main

main()
