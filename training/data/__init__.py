"""The rows that members are trained, weighed and judged on, each in three parts that share no row."""
