"""The log: how a line gets out, even if nobody reads it.

handler.py   lines on stdout that never block, warnings that may not flood it
formats.py   text for people, JSON for programs
terminal.py  the terminal: its size, and what stays below the log
"""
