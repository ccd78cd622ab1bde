"""Workers of the benchmark, one process for each engine; foreign engines have environments of their own."""
