"""The simulated outside world of one system: a process with its venues, monitoring, channels, and a lever on each."""
