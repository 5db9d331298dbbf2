T = "generated"
