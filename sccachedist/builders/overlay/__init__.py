"""The overlay builder: sandbox workers that mount an overlay over a toolchain and run bubblewrap in it."""
