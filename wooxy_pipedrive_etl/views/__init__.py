"""What pages, the status and exports show. Nothing here changes anything."""
