raise ImportError('the root is not what is imported')
