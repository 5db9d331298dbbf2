slope = 2
