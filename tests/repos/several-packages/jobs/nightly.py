import api

WHERE = api.now()
