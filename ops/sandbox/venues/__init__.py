"""Simulated venues. They share no parsing code with the venue adapters, so an error cannot hide in both."""
