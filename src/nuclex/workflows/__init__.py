"""Whole stories told with the floors below."""
