"""unisono: serves many trained models as one."""
