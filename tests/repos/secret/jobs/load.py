URL = 'https://example.org'
