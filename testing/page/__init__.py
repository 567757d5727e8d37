"""The live page in every state, and what may be wrong with one.

states.py    a worker in each state that the page can show, with the longest names and numbers there are
faults.js    run in the page: texts that overlap, stick out or are cut off, and what only some people can use
looks.py     one browser for all states: it reads the faults, and takes pictures
"""
