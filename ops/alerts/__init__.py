"""The doors to the people on call.

A message that left is not a message that arrived: only an acknowledgement counts.
"""
