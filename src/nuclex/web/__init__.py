"""A page in the browser, and the API behind it: the functions of the verbs, asked one job at a time"""
