TEXT = "with a byte order mark"
