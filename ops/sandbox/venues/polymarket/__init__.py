"""A simulated Polymarket CLOB (V2) with its data API, on loopback: paper and live listener, one wallet each."""
