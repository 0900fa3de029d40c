"""A training cluster made of network namespaces: real kernel counters, real TCP, real faults."""
