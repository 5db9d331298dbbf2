NAMES = ["orders"]
