"""``python -m nuclex`` is the command ``nuclex``; ``torchrun -m nuclex`` starts it once for each device."""

from nuclex.cli.main import main

main()
