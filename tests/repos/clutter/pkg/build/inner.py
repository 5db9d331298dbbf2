KEPT = True
