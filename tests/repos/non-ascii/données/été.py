GRÜSSE = "schöne Grüße"
