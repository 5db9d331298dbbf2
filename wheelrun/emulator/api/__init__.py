"""The endpoints of the emulator: one module for each service, each with a function `routes(state)`."""
