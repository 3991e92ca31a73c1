"""The viewer: a scene in the browser, as one page to give away, or as a turntable video.

`state` says what is shown; `layers`, `trails` and `placement` turn a Scene and a state into
arrays, without a browser; `app` hands these to viser, `page` writes them into one HTML file.
"""

from worldline.viewer.page import write_page
from worldline.viewer.state import ViewState
from worldline.viewer.turntable import write_turntable

__all__ = ["ViewState", "write_page", "write_turntable"]
