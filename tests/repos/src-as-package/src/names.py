TITLE = "Report"
