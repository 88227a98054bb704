"""What the program serves over HTTP: the receiver of Pipedrive's webhooks."""
