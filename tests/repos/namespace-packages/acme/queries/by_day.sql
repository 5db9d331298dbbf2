select day
