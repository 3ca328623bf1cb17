"""Simulated Prometheus and Grafana: real scrapes of real bots, a small strict subset of PromQL."""
