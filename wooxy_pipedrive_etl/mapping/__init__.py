"""From Pipedrive's persons to Wooxy's contacts: pure functions, dataframes in and dataframes out, no I/O."""
