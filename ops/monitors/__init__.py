"""The doors to what the system is watched with: Prometheus and Grafana."""
