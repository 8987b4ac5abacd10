"""The request's way: from gRPC bytes to pooled scores and back."""
