"""The page: a graph to step through, forward and backward, in one HTML file.

What it shows is collected by ``content``, placed by ``layout``, and drawn by the scripts in
``assets``, which are plain JavaScript without a build step.
"""

from viz.page.page import Page, page

__all__ = ["Page", "page"]
