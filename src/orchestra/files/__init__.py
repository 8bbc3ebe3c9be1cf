"""Access to users' files, in the caller's process and on the machine that has the files.

It returns plain values, which operations pass on to the database. Nothing here knows the database.
"""
