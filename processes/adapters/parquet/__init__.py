"""Closed sessions as Parquet files; the only user of pyarrow, which the live path does not need."""
