"""How members' scores become one."""
