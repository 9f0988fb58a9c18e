"""A module for each page of the app; each has a function ``page``.

The folder is not called ``pages``: Streamlit would take its files for pages by themselves.
"""
