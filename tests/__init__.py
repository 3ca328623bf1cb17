"""A package of its own: a library of Polymarket's client (py_order_utils) installs another one called `tests`."""
