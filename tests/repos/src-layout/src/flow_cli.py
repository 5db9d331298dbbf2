from flow import VERSION
