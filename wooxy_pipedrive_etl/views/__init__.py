"""What pages, the status and exports show: data read for display.

Not here: any change (`connections`, `matching`, `sync`), and the display itself (`web`, `cli`).
"""
