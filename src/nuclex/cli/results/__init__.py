"""What each verb prints with `--json`: every key, what it holds and in which unit"""
