"""The pages that a browser shows: templates, styles, scripts, and a module for each page in `pages`."""
