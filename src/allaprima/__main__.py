"""``python -m allaprima``."""

from .cli import main

main()
