KIND = "a package, though its name is that of an output folder"
