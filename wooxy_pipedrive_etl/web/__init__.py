"""What the program serves over HTTP: the pages, and the receiver of Pipedrive's webhooks."""
