"""Local runs: a supervisor process that outlives the client, and a worker process under it that runs the steps."""
