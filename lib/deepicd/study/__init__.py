"""What runs the rest: notebooks, grids, benchmarks, the reference."""
