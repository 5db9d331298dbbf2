REGION = "eu"
