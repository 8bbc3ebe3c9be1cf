"""What looks at users' files, in the process of whoever asks and on the machine where the files are.

It gives plain values, which operations take from there to the database; nothing of the database is known here.
"""
