"""What systems that are one network share: pictures in its size, its cameras as a Scene's."""
