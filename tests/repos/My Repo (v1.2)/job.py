NAME = "any"
