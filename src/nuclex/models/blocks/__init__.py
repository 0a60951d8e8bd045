"""The parts of a block: attention, rotary positions, feed-forward."""
