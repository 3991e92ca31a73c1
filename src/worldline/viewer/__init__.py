"""The viewer: a scene in the browser, as one page to give away, or as a turntable video.

`state` says what is shown; `layers`, `trails` and `placement` turn a Scene and a state into
arrays, without a browser; `stage` hands those of one scene to viser and `app` keeps the page up to
the state; `page` writes them into one HTML file, `turntable` into a video.
"""
