FIX = True
