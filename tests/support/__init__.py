"""Parts that several tiers of tests share: processes, fake trees, the monitoring stack."""
