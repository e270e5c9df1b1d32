"""`python -m ase_mlham` is `mlham`."""

from ase_mlham.cli.main import main

raise SystemExit(main())
