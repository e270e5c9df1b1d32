"""What tests of this package and of plugins share: strategies, tolerances, conformance checks."""
