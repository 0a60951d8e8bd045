"""The command line of nuclex."""
