"""Published versions on disk: blobs, manifests and the journal that says what is current."""
