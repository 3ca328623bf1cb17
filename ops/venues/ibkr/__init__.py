"""Interactive Brokers, through TWS or its Gateway; ib_async, or ib_insync."""
