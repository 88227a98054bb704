"""From Pipedrive's persons to Wooxy's contacts: pure functions, dataframes in and dataframes out.

Not here: any I/O. Persons are read in `pipedrive` and `store`; contacts are written in `contact_list`.
"""
