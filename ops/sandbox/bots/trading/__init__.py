"""What every bot does alike: look, guard, trade, settle."""
