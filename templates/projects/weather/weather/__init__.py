"""The weather of Seattle, 2012-2015, and a forecast of a year from the years before it."""
