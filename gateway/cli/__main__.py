"""`python -m gateway.cli` is `sealgate`."""

from gateway.cli import main

main()
