"""What tests drive the tus server with: clients that others have written."""
