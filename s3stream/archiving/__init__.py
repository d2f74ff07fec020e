"""A bucket into one archive, and back: made, unpacked and checked, all of it streaming.

An adapter on top of the writer: the library's own files and file system are all that it writes and
reads by.
"""
